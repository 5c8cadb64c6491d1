import { nameFromBytes, quoted, toHex } from '../bytes/text.js';
import type { TraceChunk, TraceItem } from './trace.js';

/** Bytes of data that a line shows. */
const SHOWN = 16;

/** An item of a trace as a line for people: `off=N len=N ...`. Offsets and lengths in bytes. */
export function transcriptLine(item: TraceItem): string {
  if (item.type === 'finding') {
    const place = item.offset === undefined ? '' : ` off=${item.offset}`;
    return `# ${item.severity} ${item.code}${place}: ${item.message}`;
  }
  return `off=${item.offset} len=${item.length} ${describe(item)}`;
}

function describe(item: Exclude<TraceItem, { type: 'finding' }>): string {
  switch (item.type) {
    case 'chunk':
      return describeChunk(item);
    case 'header':
      return `QEVM version=${item.version}`;
    case 'section': {
      const named = item.sectionType === 'start' || item.sectionType === 'full';
      const header = named ? ` instance=${item.instance} version=${item.version}` : '';
      return `${item.sectionType.toUpperCase()} id=${item.id} ${quoted(item.name)}${header}`;
    }
    case 'footer':
      return `FOOTER id=${item.id}`;
    case 'command':
      return `COMMAND ${item.name}${item.data.length > 0 ? ` payload=${hex(item.data)}` : ''}`;
    case 'end':
      return 'EOF';
    case 'bytes':
      return `bytes ${hex(item.data)}`;
  }
}

function describeChunk(chunk: TraceChunk): string {
  const flags = `flags=0x${chunk.flags.toString(16).padStart(2, '0')}`;
  const parts = ['  chunk', chunk.kind.toUpperCase(), chunk.flagsWidth === 1 ? flags : `${flags}/${chunk.flagsWidth}`];
  if (chunk.node !== undefined) parts.push(`node=${quoted(nameFromBytes(chunk.node).text, 300)}`);
  if (chunk.bitmap !== undefined) parts.push(`bitmap=${quoted(nameFromBytes(chunk.bitmap).text, 300)}`);
  if (chunk.granularity !== undefined) parts.push(`granularity=${chunk.granularity} start-flags=${chunk.startFlags}`);
  if (chunk.firstSector !== undefined) parts.push(`sector=${chunk.firstSector} sectors=${chunk.sectorCount}`);
  if (chunk.data !== undefined) parts.push(`size=${chunk.data.length} data=${hex(chunk.data)}`);
  if ((chunk.flags & 1) !== 0) parts.push('EOS');
  if (chunk.deviations !== undefined) parts.push(`! ${chunk.deviations.join(' ')}`);
  return parts.join(' ');
}

function hex(bytes: Uint8Array): string {
  return bytes.length > SHOWN ? `${toHex(bytes.subarray(0, SHOWN))}...` : toHex(bytes);
}
