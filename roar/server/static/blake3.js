"use strict";
// BLAKE3 (hash mode, 32 bytes of output) for bytes that come piece by piece; after the specification of 2020 by
// O'Connor, Aumasson, Neves and Wilcox-O'Hearn. Words are 32-bit, chunks have 1,024 bytes, blocks 64.

const IV = new Uint32Array([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
]);
const CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8;
const CHUNK = 1024, BLOCK = 64;
const ORDER = new Uint8Array(7 * 16); // which word of the block is used where, round by round
{
  const permutation = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
  for (let n = 0; n < 16; n++) ORDER[n] = n;
  for (let n = 16; n < 112; n++) ORDER[n] = ORDER[n - 16 - (n % 16) + permutation[n % 16]];
}

const state = new Uint32Array(16);

function mix(a, b, c, d, x, y) {
  let va = state[a], vb = state[b], vc = state[c], vd = state[d];
  va = (va + vb + x) | 0;
  vd ^= va;
  vd = (vd >>> 16) | (vd << 16);
  vc = (vc + vd) | 0;
  vb ^= vc;
  vb = (vb >>> 12) | (vb << 20);
  va = (va + vb + y) | 0;
  vd ^= va;
  vd = (vd >>> 8) | (vd << 24);
  vc = (vc + vd) | 0;
  vb ^= vc;
  vb = (vb >>> 7) | (vb << 25);
  state[a] = va;
  state[b] = vb;
  state[c] = vc;
  state[d] = vd;
}

// Compress a block of 16 words into `out` (8 words, may be `chain` itself); `counter` is below 2^53.
function compress(chain, words, counter, length, flags, out) {
  state.set(chain);
  state[8] = IV[0];
  state[9] = IV[1];
  state[10] = IV[2];
  state[11] = IV[3];
  state[12] = counter | 0;
  state[13] = (counter / 0x100000000) | 0;
  state[14] = length;
  state[15] = flags;
  for (let at = 0; at < 112; at += 16) {
    mix(0, 4, 8, 12, words[ORDER[at]], words[ORDER[at + 1]]);
    mix(1, 5, 9, 13, words[ORDER[at + 2]], words[ORDER[at + 3]]);
    mix(2, 6, 10, 14, words[ORDER[at + 4]], words[ORDER[at + 5]]);
    mix(3, 7, 11, 15, words[ORDER[at + 6]], words[ORDER[at + 7]]);
    mix(0, 5, 10, 15, words[ORDER[at + 8]], words[ORDER[at + 9]]);
    mix(1, 6, 11, 12, words[ORDER[at + 10]], words[ORDER[at + 11]]);
    mix(2, 7, 8, 13, words[ORDER[at + 12]], words[ORDER[at + 13]]);
    mix(3, 4, 9, 14, words[ORDER[at + 14]], words[ORDER[at + 15]]);
  }
  for (let n = 0; n < 8; n++) out[n] = state[n] ^ state[n + 8];
}

const block = new Uint32Array(16);

// The 64 bytes from `at` on, or fewer with zeros behind them, as little-endian words.
function load(bytes, at, length) {
  if (length === BLOCK) {
    for (let n = 0, k = at; n < 16; n++, k += 4) {
      block[n] = bytes[k] | (bytes[k + 1] << 8) | (bytes[k + 2] << 16) | (bytes[k + 3] << 24);
    }
    return;
  }
  block.fill(0);
  for (let n = 0; n < length; n++) block[n >> 2] |= bytes[at + n] << ((n & 3) * 8);
}

// The chaining value of a chunk, or its root when it is the only one.
function chunk(bytes, at, length, counter, root) {
  const chain = IV.slice();
  for (let done = 0; done === 0 || done < length; done += BLOCK) {
    const some = Math.min(BLOCK, length - done);
    const last = done + BLOCK >= length;
    const flags = (done === 0 ? CHUNK_START : 0) | (last ? CHUNK_END | root : 0);
    load(bytes, at + done, some);
    compress(chain, block, counter, some, flags, chain);
  }
  return chain;
}

function parent(left, right, root) {
  const words = new Uint32Array(16);
  words.set(left);
  words.set(right, 8);
  const out = new Uint32Array(8);
  compress(IV, words, 0, BLOCK, PARENT | root, out);
  return out;
}

class Blake3 {
  constructor() {
    this.tail = new Uint8Array(CHUNK); // the last chunk waits: only in the end is it known whether it is the root
    this.held = 0;
    this.chunks = 0;
    this.stack = []; // the roots of whole subtrees, larger ones first
  }

  update(bytes) {
    let at = 0;
    while (at < bytes.length) {
      if (this.held === CHUNK) {
        this.add(chunk(this.tail, 0, CHUNK, this.chunks, 0));
        this.held = 0;
      }
      while (this.held === 0 && bytes.length - at > CHUNK) {
        this.add(chunk(bytes, at, CHUNK, this.chunks, 0));
        at += CHUNK;
      }
      const some = Math.min(CHUNK - this.held, bytes.length - at);
      this.tail.set(bytes.subarray(at, at + some), this.held);
      this.held += some;
      at += some;
    }
  }

  add(value) {
    this.chunks += 1;
    for (let total = this.chunks; total % 2 === 0; total /= 2) value = parent(this.stack.pop(), value, 0);
    this.stack.push(value);
  }

  hex() {
    const stack = this.stack.slice();
    let value = chunk(this.tail, 0, this.held, this.chunks, stack.length ? 0 : ROOT);
    while (stack.length) {
      const left = stack.pop();
      value = parent(left, value, stack.length ? 0 : ROOT);
    }
    const bytes = new Uint8Array(value.buffer, 0, 32); // every browser's machine is little-endian
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
}

// As a worker: hash the file that is sent, and say how far it has come, and the hash.
if (typeof WorkerGlobalScope !== "undefined") {
  const PIECE = 4 << 20;
  self.onmessage = async ({ data: file }) => {
    try {
      const hasher = new Blake3();
      for (let at = 0; at < file.size; at += PIECE) {
        hasher.update(new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()));
        self.postMessage({ done: Math.min(at + PIECE, file.size) });
      }
      self.postMessage({ hash: hasher.hex() });
    } catch (error) {
      self.postMessage({ error: String(error) });
    }
  };
}
