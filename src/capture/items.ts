/** The bytes that begin an item of a migration stream. Source: container.md section 1. */
export const ITEM = Object.freeze({
  EOF: 0x00,
  START: 0x01,
  PART: 0x02,
  END: 0x03,
  FULL: 0x04,
  SUBSECTION: 0x05,
  VMDESC: 0x06,
  CONFIGURATION: 0x07,
  COMMAND: 0x08,
  FOOTER: 0x7e,
});

/** `QEVM` */
export const MAGIC = 0x5145564d;
/** The only stream version alive. */
export const STREAM_VERSION = 3;

/** The name of the section that this library is about. */
export const DIRTY_BITMAP = 'dirty-bitmap';

/** In which way a section travels: iterables as START PART* END+, devices as FULL. */
export type SectionType = 'start' | 'part' | 'end' | 'full';

/** What a START or FULL header says. */
export interface Section {
  readonly id: number;
  readonly name: string;
  readonly instance: number;
  readonly version: number;
}

/** What the configuration section says. */
export interface Configuration {
  /** Machine type, e.g. `pc-i440fx-7.2`. */
  readonly machine: string;
  /** Pages of the guest have 2 to the power of this many bytes; undefined where it is not told. */
  readonly targetPageBits: number | undefined;
  /** Capabilities that are on, by name; undefined where they are not told. */
  readonly capabilities: readonly string[] | undefined;
  /** 16 bytes in hexadecimal. */
  readonly uuid: string | undefined;
}

/** A command of the migration stream. */
export interface Command {
  readonly id: number;
  /** `POSTCOPY_ADVISE` and so on. */
  readonly name: string;
  /** The first bytes of the payload, at most 32. */
  readonly payload: Uint8Array;
  /** Bytes of the payload. */
  readonly payloadLength: number;
  /** PACKAGED: bytes of the package, which follow the command. */
  readonly packageBytes: number | undefined;
  /** Bytes from the start of the input. */
  readonly offset: number;
  /** Bytes of the command with its payload, without a package. */
  readonly length: number;
}

/** Names of the commands and the lengths of their payloads in bytes. Source: container.md section 4. */
export const COMMANDS: Readonly<Record<number, { readonly name: string; readonly lengths: readonly number[] | null }>> =
  Object.freeze({
    1: { name: 'OPEN_RETURN_PATH', lengths: [0] },
    2: { name: 'PING', lengths: [4] },
    3: { name: 'POSTCOPY_ADVISE', lengths: [0, 16] },
    4: { name: 'POSTCOPY_LISTEN', lengths: [0] },
    5: { name: 'POSTCOPY_RUN', lengths: [0] },
    6: { name: 'POSTCOPY_RAM_DISCARD', lengths: null },
    7: { name: 'PACKAGED', lengths: [4] },
    // 8 and 9 were renumbered between 3.0 and 3.1, so they are only stepped over.
    8: { name: 'ENABLE_COLO', lengths: null },
    9: { name: 'POSTCOPY_RESUME', lengths: null },
    10: { name: 'RECV_BITMAP', lengths: null },
    11: { name: 'SWITCHOVER_START', lengths: [0] },
  });

/** Command numbers that mean something to a reader of bitmaps. */
export const COMMAND = Object.freeze({
  OPEN_RETURN_PATH: 1,
  PING: 2,
  ADVISE: 3,
  LISTEN: 4,
  RUN: 5,
  PACKAGED: 7,
  SWITCHOVER_START: 11,
});
