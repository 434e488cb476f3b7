// Messages from Python: the length of the header (32 bits, little-endian), the header as JSON, and the body.

/** The header, and a copy of the body, aligned for 16-bit numbers. */
export function unpack(data) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  return { header, body: bytes.slice(4 + length) };
}
