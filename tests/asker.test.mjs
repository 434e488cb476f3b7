// Questions of the board under a clock that the test moves.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Asker } from "../attribution/ui/board/asker.js";

/** An asker on an empty photo, what it has sent, and its clock. */
function started() {
  const timers = new Set();
  const clock = {
    time: 0,
    now: () => clock.time,
    later: (call, wait) => {
      const timer = { call, at: clock.time + wait };
      timers.add(timer);
      return timer;
    },
    cancel: (timer) => timers.delete(timer),
    pass: (wait) => {
      const end = clock.time + wait;
      for (;;) {
        const [next] = [...timers].filter((each) => each.at <= end).sort((a, b) => a.at - b.at);
        if (!next) break;
        timers.delete(next);
        clock.time = next.at;
        next.call();
      }
      clock.time = end;
    },
  };
  const sent = [];
  const rests = [];
  const asker = new Asker((asked) => sent.push(asked), () => rests.push(asker.cells), clock);
  asker.restart("", true, true);
  return { asker, sent, rests, clock };
}

const cells = (sent) => sent.map((each) => each.cells);

test("one question is in flight, and the newest mask is asked about next", () => {
  const { asker, sent } = started();
  for (const mask of ["B", "C", "D"]) asker.change(mask, true);
  assert.deepEqual(cells(sent), ["B"]);
  assert.ok(asker.answered(sent[0]));
  assert.deepEqual(cells(sent), ["B", "D"]);
  assert.ok(sent[1].number > sent[0].number);
});

test("late answers and those of other boards are dropped", () => {
  const { asker, sent, clock } = started();
  asker.change("B", true);
  clock.pass(10000); // nobody answers
  asker.change("C", true);
  assert.deepEqual(cells(sent), ["B", "B"]);
  assert.equal(asker.answered(sent[0]), false);
  assert.equal(asker.answered({ ...sent[1], cells: "X" }), false);
  assert.equal(asker.answered({ ...sent[1], number: 77 }), false);
  assert.ok(asker.answered(sent[1]));
  assert.deepEqual(cells(sent), ["B", "B", "C"]);
  assert.equal(asker.answered(sent[0]), false);
  assert.ok(asker.answered(sent[2]));
});

test("an unanswered question is asked again about the newest mask, each time later", () => {
  const { asker, sent, clock } = started();
  asker.change("B", true);
  asker.change("C", true);
  clock.pass(9999);
  assert.deepEqual(cells(sent), ["B"]);
  clock.pass(1);
  assert.deepEqual(cells(sent), ["B", "C"]);
  clock.pass(19999);
  assert.equal(sent.length, 2);
  clock.pass(1);
  assert.equal(sent.length, 3);
});

test("a mask is asked about once more when the hand rests", () => {
  const { asker, sent, rests, clock } = started();
  asker.change("B", true);
  asker.answered(sent[0]);
  clock.pass(5000); // the finger stays down
  assert.deepEqual(sent.map((each) => each.rests), [false]);
  asker.change("B", false);
  clock.pass(499);
  assert.equal(sent.length, 1);
  clock.pass(1);
  assert.deepEqual(sent.map((each) => each.rests), [false, true]);
  assert.deepEqual(rests, ["", "B"].slice(-rests.length));
  asker.answered(sent[1]);
  asker.change("B", false);
  clock.pass(5000);
  assert.equal(sent.length, 2);
});

test("a moved hand does not wait for what it asked at rest", () => {
  const { asker, sent, clock } = started();
  asker.change("B", false);
  asker.answered(sent[0]);
  clock.pass(500);
  asker.change("C", true);
  assert.deepEqual(sent.map((each) => [each.cells, each.rests]), [["B", false], ["B", true], ["C", false]]);
  assert.equal(asker.answered(sent[1]), false);
  assert.ok(asker.answered(sent[2]));
});

test("with slow answers, only ends of strokes are asked about", () => {
  const { asker, sent, clock } = started();
  asker.change("B", true);
  clock.pass(401);
  asker.answered(sent[0]);
  asker.change("C", true);
  asker.change("D", true);
  assert.deepEqual(cells(sent), ["B"]);
  asker.change("D", false);
  assert.deepEqual(cells(sent), ["B", "D"]);
});

test("another photo is asked about at once, and answers about the earlier one are dropped", () => {
  const { asker, sent } = started();
  asker.change("B", false);
  asker.restart("B");
  assert.deepEqual(cells(sent), ["B", "B"]);
  assert.equal(asker.answered(sent[0]), false);
  assert.ok(asker.answered(sent[1]));
});

test("in any order of changes and answers, the last answer is about the last mask", () => {
  let seed = 1;
  const random = (end) => (seed = (seed * 48271) % 2147483647) % end;
  for (let round = 0; round < 300; round++) {
    const { asker, sent, clock } = started();
    let shown = null;
    let waiting = [];
    const deliver = () => {
      const [answer] = waiting.splice(random(waiting.length), 1); // replies overtake one another
      if (asker.answered(answer)) shown = answer;
    };
    for (let step = 0, seen = 0; step < 40; step++) {
      if (random(2)) asker.change(`M${random(5)}`, Boolean(random(2)));
      if (random(20) === 0) clock.pass(random(12000));
      for (; seen < sent.length; seen++) if (random(10)) waiting.push(sent[seen]); // some get lost
      if (waiting.length && random(3)) deliver();
    }
    asker.change("last", false);
    for (let turn = 0, seen = sent.length; turn < 60; turn++) {
      clock.pass(10000);
      for (; seen < sent.length; seen++) waiting.push(sent[seen]);
      while (waiting.length) deliver();
    }
    assert.deepEqual([shown.cells, shown.rests], ["last", true]);
  }
});
