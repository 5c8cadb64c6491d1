import { ByteWriter } from '../bytes/byte-writer.js';
import { FLAG } from '../chunk/flags.js';
import type { Profile } from '../migration/cutter.js';
import { type PutBitmap, wholeBitmaps } from './bitmap-chunks.js';
import { writeFooter, writeSectionHeader } from './encode-items.js';
import { DIRTY_BITMAP, type Section } from './items.js';

/** An id that no QEMU comes to, which counts from 0: the sections in a package are not looked at. */
const FIRST_ID = 0x6462_6d70;

/**
 * A dirty-bitmap section for a stream that has none, START and END: pieces that are each valid until the next is asked for.
 * @param ids section ids that are taken.
 */
export function* ownSection(
  puts: readonly PutBitmap[],
  profile: Profile,
  ids: ReadonlySet<number>,
  footers: boolean,
): Generator<Uint8Array, void, void> {
  let id = FIRST_ID;
  while (ids.has(id)) id++;
  const section: Section = { id, name: DIRTY_BITMAP, instance: 0, version: 1 };
  const out = new ByteWriter();
  writeSectionHeader(out, 'start', section);
  yield out.view();
  yield* wholeBitmaps(puts, profile);
  out.reset();
  for (const type of ['start', 'end'] as const) {
    if (type === 'end') writeSectionHeader(out, 'end', section);
    out.u8(FLAG.EOS);
    if (footers) writeFooter(out, id);
  }
  yield out.view();
}
