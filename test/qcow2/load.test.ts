import { describe, expect, it } from 'vitest';
import { Destination } from '../../src/migration/destination.js';
import { MemoryGraph, type MemoryNode } from '../../src/migration/memory-graph.js';
import { Source } from '../../src/migration/source.js';
import type { PlanStep } from '../../src/qcow2/commit/plan.js';
import { commitSteps } from '../../src/qcow2/commit/plan-commit.js';
import type { Qcow2Image } from '../../src/qcow2/image.js';
import { type LoadOptions, loadBitmaps, storeBitmaps } from '../../src/qcow2/load.js';
import { runStepsOnBytes } from '../../src/qcow2/random-access.js';
import { decodeQcow2 } from '../../src/qcow2/read-qcow2.js';
import { codeOf, Feed } from '../support/chunks.js';
import { readVector } from './vectors.js';

/** An image in memory. */
class Disk {
  bytes: Uint8Array;

  constructor(name: string) {
    this.bytes = readVector(`${name}.qcow2`);
  }

  image(): Qcow2Image {
    return decodeQcow2(this.bytes, { writerPresent: false });
  }

  apply(steps: readonly PlanStep[]): void {
    for (const step of steps) {
      if (step.kind === 'sync') continue;
      const end = step.offset + step.length;
      if (end > this.bytes.length) {
        const longer = new Uint8Array(end);
        longer.set(this.bytes);
        this.bytes = longer;
      }
      this.bytes.set(step.bytes(), step.offset);
    }
  }

  store(node: MemoryNode): void {
    const image = this.image();
    this.apply(runStepsOnBytes(this.bytes, commitSteps(image, storeBitmaps(node, image))).steps);
  }

  trust(): string[] {
    return this.image().bitmaps.map(({ name, trust }) => `${name.text} ${trust}`);
  }
}

function load(
  disk: Disk,
  options: LoadOptions & { readOnly?: boolean } = {},
): { graph: MemoryGraph; node: MemoryNode } {
  const graph = new MemoryGraph();
  const { readOnly = false } = options;
  const image = disk.image();
  const node = graph.addNode({ name: 'disk0', size: image.header.virtualSize, readOnly });
  disk.apply(loadBitmaps(node, image, options).steps);
  return { graph, node };
}

const shown = (node: MemoryNode): string[] =>
  node.bitmaps.map(({ name, recording, persistent, readOnly, inconsistent }) =>
    [name?.text, recording && 'rec', persistent && 'pers', readOnly && 'ro', inconsistent && 'inc']
      .filter(Boolean)
      .join(' '),
  );

describe('loading (qcow2-bitmaps.md section 8)', () => {
  it('merged: clean ones, those without AUTO disabled, and marks them in use', () => {
    const disk = new Disk('disabled');
    const before = disk.image().bitmaps.map(({ bits }) => [...(bits?.extents() ?? [])]);
    const { node } = load(disk);
    expect(shown(node)).toEqual(disk.image().bitmaps.map(({ name, auto }) => `${name.text}${auto ? ' rec' : ''} pers`));
    expect(node.bitmaps.map(({ bits }) => [...bits.extents()])).toEqual(before);
    expect(disk.image().bitmaps.every(({ trust }) => trust === 'in-use-orphaned')).toBe(true);
  });

  it('merged: what is in use becomes a placeholder that can only be removed', () => {
    const disk = new Disk('in-use');
    const bytes = disk.bytes.slice();
    const { node } = load(disk);
    expect(shown(node)).toEqual(['off pers inc', 'live pers inc']);
    expect(disk.bytes).toEqual(bytes);
    const [off] = node.bitmaps;
    expect(codeOf(() => off?.clear())).toBe('bitmap-inconsistent');
    if (off !== undefined) node.remove(off);
    expect(shown(node)).toEqual(['live pers inc']);
  });

  it('merged: one that came by migration goes before what was left in use', () => {
    const disk = new Disk('in-use');
    const graph = new MemoryGraph();
    const image = disk.image();
    const node = graph.addNode({ name: 'disk0', size: image.header.virtualSize });
    node.create({ name: 'live', granularity: 65_536, persistent: true });
    loadBitmaps(node, image);
    expect(shown(node)).toEqual(['off pers inc', 'live rec pers']);
  });

  it('patch-2017: only AUTO and not in use; others are left alone, and stay as they are', () => {
    const disk = new Disk('disabled');
    const { node } = load(disk, { policy: 'patch-2017' });
    const auto = disk.image().bitmaps.filter((bitmap) => bitmap.auto);
    expect(node.bitmaps).toHaveLength(auto.length);
    expect(disk.trust()).toEqual(
      disk.image().bitmaps.map(({ name, auto }) => `${name.text} ${auto ? 'in-use-orphaned' : 'disabled'}`),
    );
    const inUse = new Disk('in-use');
    expect(load(inUse, { policy: 'patch-2017' }).node.bitmaps).toEqual([]);
  });

  it('patch-2017: one bad entry fails the load', () => {
    expect(codeOf(() => load(new Disk('bad-entry-overlaps-l1'), { policy: 'patch-2017' }))).toBe(
      'qcow2-cluster-referenced',
    );
  });

  it('the update in place is autoclear off, directory, autoclear on, with a sync after each', () => {
    const disk = new Disk('enabled');
    const image = disk.image();
    const node = new MemoryGraph().addNode({ name: 'disk0', size: image.header.virtualSize });
    const { steps } = loadBitmaps(node, image);
    expect(steps.map((step) => (step.kind === 'sync' ? 'sync' : step.offset))).toEqual([
      ...[88, 'sync', image.bitmapsExtension?.directoryOffset, 'sync', 88, 'sync'],
    ]);
    // A crash after the first step: void, never falsely clean.
    disk.apply(steps.slice(0, 3));
    expect(disk.trust()).toEqual(['b0 stale']);
  });

  it('a read-only node: bitmaps are read-only, and the file is untouched', () => {
    const disk = new Disk('enabled');
    const bytes = disk.bytes.slice();
    const { node } = load(disk, { readOnly: true });
    expect(shown(node)).toEqual(['b0 rec pers ro']);
    expect(disk.bytes).toEqual(bytes);
  });

  it('refuses an image that QEMU does not open', () => {
    expect(codeOf(() => load(new Disk('spec-extra-data')))).toBe('qcow2-bitmap-unsupported');
  });

  it('refuses a node of another size', () => {
    const image = new Disk('enabled').image();
    const node = new MemoryGraph().addNode({ name: 'disk0', size: image.header.virtualSize + 512 });
    expect(codeOf(() => loadBitmaps(node, image))).toBe('size-differs');
  });
});

describe('storing when a node is closed (section 8.4)', () => {
  it('writes what was recorded, and new ones; transient ones are not kept', () => {
    const disk = new Disk('enabled');
    const { node } = load(disk);
    node.recordWrite(2 ** 21, 1);
    node.create({ name: 'new', granularity: 4096, persistent: true }).bits.set(0, 1);
    node.create({ name: 'transient', granularity: 4096 });
    disk.store(node);
    expect(disk.trust()).toEqual(['b0 enabled', 'new enabled']);
    expect(disk.image().bitmaps[0]?.bits?.get(2 ** 21)).toBe(true);
  });

  it('leaves an inconsistent one as it is', () => {
    const disk = new Disk('in-use');
    disk.store(load(disk).node);
    expect(disk.trust()).toEqual(['live in-use-orphaned', 'off in-use-orphaned']);
  });

  it('refuses to overwrite one of that name that is not in use', () => {
    const disk = new Disk('enabled');
    const image = disk.image();
    const node = new MemoryGraph().addNode({ name: 'disk0', size: image.header.virtualSize });
    node.create({ name: 'b0', granularity: 4096, persistent: true });
    expect(codeOf(() => storeBitmaps(node, image))).toBe('bitmap-exists');
  });

  it('a bitmap that migrates away stays in use in the file, and is stored by the destination', () => {
    const from = new Disk('enabled');
    const source = load(from);
    const to = new Disk('enabled');
    to.apply(runStepsOnBytes(to.bytes, commitSteps(to.image(), [])).steps);
    const image = to.image();
    const graph = new MemoryGraph();
    const node = graph.addNode({ name: 'disk0', size: image.header.virtualSize });
    const destination = new Destination(graph);
    const feed = new Feed(destination);
    destination.section(1);
    for (const bytes of new Source(source.graph).sections()) feed.pushPart(bytes.slice());
    destination.end();
    destination.beforeVmStart();
    from.store(source.node);
    to.store(node);
    expect(from.trust()).toEqual(['b0 in-use-orphaned']);
    expect(to.trust()).toEqual(['b0 enabled']);
    expect([...(to.image().bitmaps[0]?.bits?.extents() ?? [])]).toEqual([
      ...(source.node.bitmaps[0]?.bits.extents() ?? []),
    ]);
  });
});
