import type { MigrationAnswers } from '../../src/qmp/migration-side.js';

/** A bitmap as QMP tells it; what is not given is usual. */
export interface ToldBitmap {
  readonly name?: string;
  readonly granularity?: unknown;
  readonly count?: number;
  readonly recording?: boolean;
  readonly persistent?: boolean;
  readonly busy?: boolean;
  readonly inconsistent?: boolean;
}

/** A node as QMP tells it. */
export function toldNode(node: string, size: number, bitmaps: readonly ToldBitmap[], more: object = {}): object {
  return {
    ...{ 'node-name': node, drv: 'qcow2', ro: false, image: { 'virtual-size': size }, children: [] },
    'dirty-bitmaps': bitmaps.map((bitmap) => ({
      ...{ name: 'b0', granularity: 65_536, count: 0, recording: true, persistent: false, busy: false },
      ...bitmap,
    })),
    ...more,
  };
}

/** What a QEMU 7.2 answers that has `dirty-bitmaps` on, and no migration. */
export function answers(nodes: unknown, more: Partial<MigrationAnswers> = {}): MigrationAnswers {
  return {
    ...{ nodes, drives: [], migration: {} },
    capabilities: [{ capability: 'dirty-bitmaps', state: true }],
    parameters: { 'max-bandwidth': 134_217_728, 'downtime-limit': 300 },
    status: { status: 'running', running: true },
    version: release(7, 2),
    ...more,
  };
}

/** What one answers that waits with `-incoming`. */
export function waiting(nodes: unknown, more: Partial<MigrationAnswers> = {}): MigrationAnswers {
  return answers(nodes, { status: { status: 'inmigrate', running: false }, ...more });
}

/** A migration that is completed, and its guest gone with it. */
export const GONE: Partial<MigrationAnswers> = {
  migration: { status: 'completed' },
  status: { status: 'postmigrate', running: false },
};

/** What `query-version` returns. */
export function release(major: number, minor: number): object {
  return { qemu: { major, minor, micro: 0 }, package: '' };
}
