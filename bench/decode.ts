// npm run bench: decoding against one memcpy of the bitmap, side by side in one run. Ratios, not absolute figures: the
// machine's own speed cancels out.

import { Findings } from '../src/findings.js';
import { ChunkCursor, DEFAULT_LIMITS, SectionDecoder, SectionParser } from '../src/index.js';
import { Gatherer } from '../src/migration/gatherer.js';
import { sectionOf } from './streams.js';

const MiB = 1024 * 1024;
const SIZE = 32 * MiB;
const ROUNDS = 31;

const dense = new Uint8Array(SIZE);
let seed = 1;
for (let at = 0; at < SIZE; at++) {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  dense[at] = seed >>> 24;
}
const streams = { dense: sectionOf(dense), empty: sectionOf(new Uint8Array(SIZE)) };
const target = new Uint8Array(SIZE);
const nothing = { chunk(): void {}, data(): void {} };

function pieces(stream: Uint8Array, length: number, push: (piece: Uint8Array) => void): void {
  for (let at = 0; at < stream.length; at += length) push(stream.subarray(at, at + length));
}

function gather(stream: Uint8Array, length: number): void {
  const gatherer = new Gatherer(new Findings(10), DEFAULT_LIMITS);
  const parser = new SectionParser(gatherer);
  pieces(stream, length, (piece) => parser.push(piece));
}

const cases: Record<string, () => void> = { memcpy: () => target.set(dense) };
for (const [name, stream] of Object.entries(streams)) {
  cases[`cursor, ${name}`] = () => {
    const cursor = new ChunkCursor();
    for (let at = 0; at < stream.length; ) at += cursor.read(stream, at, stream.length, at, 10_240) + cursor.size;
  };
  cases[`parser, ${name}, whole`] = () => new SectionParser(nothing).push(stream);
  cases[`parser, ${name}, 64 KiB pieces`] = () => {
    const parser = new SectionParser(nothing);
    pieces(stream, 65_536, (piece) => parser.push(piece));
  };
  cases[`parser, ${name}, 1500-byte pieces`] = () => {
    const parser = new SectionParser(nothing);
    pieces(stream, 1500, (piece) => parser.push(piece));
  };
  cases[`events, ${name}, 64 KiB pieces`] = () => {
    const decoder = new SectionDecoder();
    pieces(stream, 65_536, (piece) => {
      for (const event of decoder.push(piece)) if (event.type !== 'chunk') throw new Error('bad');
    });
  };
  cases[`into a new bitmap, ${name}, whole`] = () => gather(stream, stream.length);
  cases[`into a new bitmap, ${name}, 1500-byte pieces`] = () => gather(stream, 1500);
}

const times: Record<string, number[]> = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
for (let round = -5; round < ROUNDS; round++) {
  for (const [name, work] of Object.entries(cases)) {
    const began = performance.now();
    work();
    if (round >= 0) times[name]?.push(performance.now() - began);
  }
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
const copy = [...(times['memcpy'] ?? [])];
console.log(`decoding a bitmap of 32 MiB (32768 chunks); ${ROUNDS} rounds, median of paired ratios to memcpy\n`);
console.log(`${'case'.padEnd(46)} ${'ns a chunk'.padStart(10)} ${'of memcpy speed'.padStart(16)}`);
for (const [name, values] of Object.entries(times)) {
  const ratio = median(values.map((value, round) => (copy[round] ?? Number.NaN) / value));
  const perChunk = (median([...values]) * 1e6) / 32_768;
  console.log(`${name.padEnd(46)} ${perChunk.toFixed(1).padStart(10)} ${ratio.toFixed(2).padStart(16)}`);
}
