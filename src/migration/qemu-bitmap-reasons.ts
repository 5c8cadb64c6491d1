import { assertion, DAMAGED, quote, type ReasonText, raw } from './qemu-reason-text.js';

/**
 * What goes wrong with bitmaps. Sources: dirty-bitmap-states.md sections 3 and 7, versions.md, and the measured streams
 * of inject/.
 */
export const BITMAP_REASONS = {
  mapping: {
    effect: 'setup-refused',
    what: (d) => `migrate-set-parameters refuses the block-bitmap-mapping: ${raw(d.found)}`,
    // The other texts are not known from experiments.
    says: (d) => (String(d.found).startsWith('Parameter') ? raw(d.found) : undefined),
    advice: 'correct the mapping before the migration',
  },
  'node-unknown': {
    effect: 'cancel',
    what: (d) => `the destination has no drive or node ${quote(d.node)}`,
    says: (d, version) =>
      version === '5.2'
        ? `Cannot find device=${raw(d.node)} nor node_name=${raw(d.node)}`
        : `Cannot find device='${raw(d.node)}' nor node-name='${raw(d.node)}'`,
    advice: 'give the destination a node of that name, or map it with block-bitmap-mapping',
  },
  'node-alias-unknown': {
    effect: 'cancel',
    what: (d) => `block-bitmap-mapping of the destination has no node alias ${quote(d.node)}`,
    says: (d) => `Error: Unknown node alias '${raw(d.node)}'`,
    advice: 'add the alias to the mapping, or leave the mapping out on both sides',
  },
  'bitmap-alias-unknown': {
    effect: 'cancel',
    what: (d) => `block-bitmap-mapping of the destination has no bitmap alias ${quote(d.bitmap)} for that node`,
    says: (d) => `Error: Unknown bitmap alias '${raw(d.bitmap)}' on node '${raw(d.found)}' (alias '${raw(d.node)}')`,
    advice: 'add the alias to the mapping, or leave the mapping out on both sides',
  },
  'node-missing': {
    effect: 'cancel',
    what: () => 'a chunk comes before any node was named',
    says: () => 'Error: block device name is not set',
    advice: DAMAGED,
  },
  'bitmap-missing': {
    effect: 'cancel',
    what: () => 'a chunk comes before any bitmap was named',
    advice: DAMAGED,
  },
  'bitmap-unknown': {
    effect: 'cancel',
    what: (d) => `bits come for bitmap ${quote(d.bitmap)} on ${quote(d.node)}, which was never started`,
    says: (d) => `Error: unknown dirty bitmap '${raw(d.bitmap)}' for block device '${raw(d.node)}'`,
    advice: DAMAGED,
  },
  'bitmap-not-migrated': {
    effect: 'cancel',
    what: (d) => `bits come for ${quote(d.bitmap)}, and this stream started no bitmap on ${quote(d.node)}`,
    says: (d) => `no migrated bitmaps on node alias '${raw(d.node)}'`,
    advice: DAMAGED,
  },
  'bits-size': {
    effect: 'cancel',
    what: (d) => `bitmap ${quote(d.bitmap)}: a range needs ${raw(d.expected)} bytes of bits, found ${raw(d.found)}`,
    says: (d) => `Migrated bitmap granularity doesn't match the destination bitmap '${raw(d.bitmap)}' granularity`,
    advice: DAMAGED,
  },
  'stored-name-exists': {
    effect: 'cancel',
    what: (d) => `the image of ${quote(d.node)} stores a bitmap ${quote(d.bitmap)} already, so it cannot be activated`,
    says: (d) => `Bitmap already exists: ${raw(d.bitmap)}`,
    advice: 'remove the stored bitmap first (qemu-img bitmap --remove) and migrate again',
  },
  'name-empty': {
    effect: 'fail',
    what: (d) => `a ${raw(d.found)} name of 0 bytes`,
    says: (d) => `Unable to read ${raw(d.found)} alias string`,
    advice: 'if the source has a block-bitmap-mapping with an empty alias, give it a name; else the stream is damaged',
  },
  'bits-too-large': {
    effect: 'fail',
    what: () => 'a chunk announces more than 10240 bytes of bits',
    says: () => 'Bitmap migration stream buffer allocation request is too large',
    advice: DAMAGED,
  },
  'bitmap-exists': {
    effect: 'fail',
    what: (d) => `${quote(d.node)} has a bitmap ${quote(d.bitmap)} already, from before or from this stream`,
    says: (d) => `Bitmap with the same name ('${raw(d.bitmap)}') already exists on destination`,
    advice: 'remove that bitmap at the destination (block-dirty-bitmap-remove) and migrate again',
  },
  'start-flags': {
    effect: 'fail',
    what: (d) => `bitmap ${quote(d.bitmap)}: reserved bits in START's flags (0x${raw(d.found)})`,
    says: (d) => `Unknown flags in migrated dirty bitmap header: ${raw(d.found)}`,
    advice: 'a QEMU newer than this may have sent them; use one as new at the destination',
  },
  'persistent-read-only': {
    effect: 'fail',
    what: (d) => `bitmap ${quote(d.bitmap)} is persistent, and node ${quote(d.node)} is read-only`,
    says: (d) => `Cannot make migrated bitmap '${raw(d.bitmap)}' persistent on read-only node '${raw(d.node)}'`,
    advice: 'open the node for writing, or map the bitmap with transform persistent=false',
  },
  granularity: {
    effect: 'abort',
    what: (d) => `bitmap ${quote(d.bitmap)} has a granularity of ${raw(d.found)} bytes, not a power of two from 512 up`,
    says: assertion('is_power_of_2(granularity) && granularity >= BDRV_SECTOR_SIZE'),
    advice: DAMAGED,
  },
  'disk-too-large': {
    effect: 'abort',
    what: (d) => `bitmap ${quote(d.bitmap)} would have ${raw(d.found)} bits, more than 2^41`,
    advice: 'use a coarser granularity',
  },
  'bits-start': {
    effect: 'abort',
    what: (d) =>
      `bitmap ${quote(d.bitmap)}: a range begins at sector ${raw(d.found)}, not a multiple of ${raw(d.expected)}`,
    says: assertion('(start & (gran - 1)) == 0'),
    advice: DAMAGED,
  },
  'bits-past-end': {
    effect: 'abort',
    what: (d) => `bitmap ${quote(d.bitmap)}: a range reaches past the end of the disk of ${raw(d.expected)} bytes`,
    says: assertion('(last >> hb->granularity) < hb->size'),
    advice: 'the disk at the destination is smaller than at the source: make it as large',
  },
  'bits-length': {
    effect: 'abort',
    what: (d) =>
      `bitmap ${quote(d.bitmap)}: a range of ${raw(d.found)} sectors, not a multiple of ${raw(d.expected)}, and not at the end of the disk`,
    says: assertion('(count & (gran - 1)) == 0'),
    advice: 'the disk at the destination is larger than at the source: make it as large',
  },
  'disk-empty': {
    effect: 'abort',
    what: (d) => `bitmap ${quote(d.bitmap)} is on a disk of 0 bytes, and no QEMU survives its COMPLETE`,
    says: assertion('pos < hb->size'),
    advice: 'remove bitmaps from empty disks at the source before migrating',
  },
  'node-after-run': {
    effect: 'abort',
    what: (d) => `the stream goes on to node ${quote(d.node)} after the switch-over to postcopy`,
    says: assertion('qemu_in_main_thread()'),
    advice: 'use QEMU 11.1 at the destination, migrate without postcopy, or bitmaps of one node only',
  },
  'start-after-run': {
    effect: 'abort',
    what: (d) => `bitmap ${quote(d.bitmap)} is started after the switch-over to postcopy`,
    advice: DAMAGED,
  },
  unfinished: {
    effect: 'note',
    what: (d) =>
      `${raw(d.found)} bitmap${d.found === 1 ? ' is' : 's are'} never completed, ${quote(d.bitmap)} the first: busy for ever, without meaning`,
    advice: 'remove them at the destination once it can be restarted, and make full backups of their disks',
  },
  'persistent-lost': {
    effect: 'note',
    what: (d) =>
      `bitmap ${quote(d.bitmap)} is persistent, and ${quote(d.node)} cannot store it: it is lost when QEMU quits`,
    advice: 'use a writable qcow2 node',
  },
  overwritten: {
    effect: 'note',
    what: (d) => `the bits of ${quote(d.bitmap)}, which the destination had before, are overwritten`,
    advice: DAMAGED,
  },
  'started-late': {
    effect: 'note',
    what: (d) => `bitmap ${quote(d.bitmap)} is started after the switch-over and never records`,
    advice: DAMAGED,
  },
} as const satisfies Record<string, ReasonText>;
