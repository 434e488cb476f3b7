// Questions to the server: one in flight, the newest kept, late answers dropped. Without DOM; the clock is passed in.

const PATIENCE = 10000; // milliseconds until an unanswered question is asked again; doubled each time
const SLOW = 400; // milliseconds of an average answer, above which questions wait for the end of a stroke
const REST = 500; // milliseconds after the last change until the hand rests
const REMEMBERED = 5; // durations in the average
const NUMBERS = 2 ** 31;

export class Asker {
  /**
   * @param send Called with {number, cells, rests}.
   * @param onRest Called once when the hand rests on a mask.
   * @param clock `now()`, `later(call, milliseconds)`, which returns a timer, and `cancel(timer)`.
   */
  constructor(send, onRest, clock) {
    Object.assign(this, { send, onRest, clock });
    this.number = Math.floor(clock.now()) % NUMBERS; // an answer to an earlier board has another number
    this.durations = [];
    this.misses = 0;
  }

  /** Start with a mask, as for another photo; `known` if its answer is there, `rested` if also that of the resting hand. */
  restart(cells, known = false, rested = false) {
    this.stop();
    this.cells = cells;
    this.painting = this.rests = false;
    this.flight = this.accepted = null;
    this.asked = known ? { cells, rests: rested } : null;
    this.#wait();
    this.#next();
  }

  /** The mask is now this; `painting` while a stroke goes on. */
  change(cells, painting) {
    const isNew = cells !== this.cells;
    const released = this.painting && !painting;
    this.cells = cells;
    this.painting = painting;
    if (isNew) this.rests = false;
    if (isNew || released || painting) this.#wait();
    this.#next();
  }

  /** True if an answer is the awaited one, or completes the last one; others are late. */
  answered({ number, cells }) {
    if (number === this.accepted) return true;
    if (number !== this.flight?.number || cells !== this.flight.cells) return false;
    if (!this.flight.rests) {
      this.durations.push(this.clock.now() - this.flight.at);
      if (this.durations.length > REMEMBERED) this.durations.shift();
    }
    this.clock.cancel(this.timer);
    this.flight = null;
    this.misses = 0;
    this.accepted = number;
    this.#next();
    return true;
  }

  stop() {
    this.clock.cancel(this.restTimer);
    this.clock.cancel(this.timer);
  }

  get isSlow() {
    return this.durations.reduce((sum, each) => sum + each, 0) > SLOW * this.durations.length;
  }

  /** Wait until the hand rests. */
  #wait() {
    this.clock.cancel(this.restTimer);
    if (this.painting || this.rests) return;
    this.restTimer = this.clock.later(() => {
      this.rests = true;
      this.onRest();
      this.#next();
    }, REST);
  }

  /** Ask about the newest mask, unless it has been asked about or must wait. */
  #next() {
    const { asked, cells, flight, rests } = this;
    if (asked?.cells === cells && (asked.rests || !rests)) return;
    if (flight && !(flight.rests && flight.cells !== cells)) return; // what only a resting hand asked is given up
    if (this.painting && this.isSlow) return;
    this.number = (this.number + 1) % NUMBERS;
    this.asked = { cells, rests };
    this.flight = { number: this.number, cells, rests, at: this.clock.now() };
    this.clock.cancel(this.timer);
    this.timer = this.clock.later(() => {
      this.misses++;
      this.flight = this.asked = null;
      this.#next();
    }, PATIENCE * 2 ** this.misses);
    this.send({ number: this.number, cells, rests });
  }
}
