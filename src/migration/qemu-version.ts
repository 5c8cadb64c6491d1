/** The QEMU versions whose loading was measured. */
export const QEMU_VERSIONS = ['5.2', '7.2', '10.0', '11.1'] as const;

/** A QEMU version whose loading was measured. */
export type QemuVersion = (typeof QEMU_VERSIONS)[number];

/** In what the loading of dirty bitmaps differs from version to version. Source: versions.md. */
export interface QemuTraits {
  /** block-bitmap-mapping knows `transform` (6.0); without it the parameter is refused. */
  readonly transform: boolean;
  /** A disabled bitmap is busy until it is completed (6.0). */
  readonly busyWhileDisabled: boolean;
  /** BITS and COMPLETE reach bitmaps that the destination had before; since 11.1 only those of this stream. */
  readonly reachesOldBitmaps: boolean;
  /** A persistent bitmap on a read-only node fails the migration; before 11.1 it was lost at quit. */
  readonly refusesReadOnly: boolean;
  /** START's flags are looked at before the bitmap is made of its granularity (measured by the differential test). */
  readonly flagsBeforeGranularity: boolean;
  /** A node name after RUN is looked up in the wrong thread, which an assertion forbids. */
  readonly abortsOnNodeAfterRun: boolean;
  /** START after RUN crashes. */
  readonly crashesOnStartAfterRun: boolean;
  /** Knows the command SWITCHOVER_START (10.0). */
  readonly switchoverStart: boolean;
  /** What ENABLE_COLO does: the migration goes over into COLO, or fails. */
  readonly colo: 'waits' | 'refused';
  /** Knows the legacy `block` section (until 9.0). */
  readonly blockSection: boolean;
  /** Knows mapped-ram (9.0). */
  readonly mappedRam: boolean;
}

const UNTIL_7: QemuTraits = {
  transform: true,
  busyWhileDisabled: true,
  reachesOldBitmaps: true,
  refusesReadOnly: false,
  flagsBeforeGranularity: false,
  abortsOnNodeAfterRun: true,
  crashesOnStartAfterRun: false,
  switchoverStart: false,
  colo: 'waits',
  blockSection: true,
  mappedRam: false,
};

const SINCE_10: QemuTraits = {
  ...UNTIL_7,
  crashesOnStartAfterRun: true,
  switchoverStart: true,
  colo: 'refused',
  blockSection: false,
  mappedRam: true,
};

/** The traits of each version. */
export const QEMU_TRAITS: Readonly<Record<QemuVersion, QemuTraits>> = Object.freeze({
  '5.2': { ...UNTIL_7, transform: false, busyWhileDisabled: false, abortsOnNodeAfterRun: false },
  '7.2': UNTIL_7,
  '10.0': SINCE_10,
  '11.1': {
    ...SINCE_10,
    reachesOldBitmaps: false,
    refusesReadOnly: true,
    flagsBeforeGranularity: true,
    abortsOnNodeAfterRun: false,
  },
});
