// Reads what Python packed: a length, a JSON header {meta, arrays: {name: count}}, then float32 arrays (little-endian).

/** Uint8Array -> {meta, arrays: {name: Float32Array}}. */
export function unpack(bytes) {
  const buffer = bytes.slice().buffer; // what arrives may be unaligned
  const length = new DataView(buffer).getUint32(0, true);
  const { meta, arrays } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let offset = 4 + length;
  const views = {};
  for (const [name, count] of Object.entries(arrays)) {
    views[name] = new Float32Array(buffer, offset, count);
    offset += 4 * count;
  }
  return { meta, arrays: views };
}
