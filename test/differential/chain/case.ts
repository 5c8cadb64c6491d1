import { bitmapSha256 } from '../../../src/bitmap/sha256.js';
import { queryState } from '../../../src/qmp/query-state.js';
import type { Dice } from '../dice.js';
import type { Outcome } from '../outcome.js';
import type { ChainMachine } from './machine.js';
import { bitsOf, copyTrack, type Track, type Write, whole } from './truth.js';
import { ChainWorld } from './world.js';

/** What is done with a chain. */
const OPERATIONS = [
  ...['copy-deep', 'copy-shallow', 'commit-active', 'commit-intermediate'],
  ...['backup-pull', 'backup-push', 'delete'],
] as const;
type OperationKind = (typeof OPERATIONS)[number];

/** A chain, an operation on it, and its bitmaps against the truth. */
export async function chainCase(machine: ChainMachine, dice: Dice, index: number): Promise<Outcome> {
  const world = new ChainWorld(machine, dice, `c${index}`);
  const kind = OPERATIONS[index % OPERATIONS.length] as OperationKind;
  try {
    await world.build();
    const { problems, compared } = await new ChainCase(world).run(kind);
    if (problems.length === 0) return { kind: 'agree', verdict: compared > 0 ? kind : `${kind} of nothing` };
    return { kind: 'differ', problems: problems.map((problem) => `${kind}: ${problem}`) };
  } finally {
    await machine.clear();
  }
}

class ChainCase {
  readonly #world: ChainWorld;
  readonly #problems: string[] = [];
  /** Bitmaps that were held against the truth. */
  #compared = 0;

  constructor(world: ChainWorld) {
    this.#world = world;
  }

  async run(kind: OperationKind): Promise<{ readonly problems: readonly string[]; readonly compared: number }> {
    if (kind === 'copy-deep' || kind === 'copy-shallow') await this.#copy(kind === 'copy-shallow');
    else if (kind === 'commit-active') await this.#commitActive();
    else if (kind === 'commit-intermediate') await this.#commitIntermediate();
    else if (kind === 'delete') await this.#delete();
    else await this.#backup(kind === 'backup-pull');
    return { problems: this.#problems, compared: this.#compared };
  }

  async #copy(shallow: boolean): Promise<void> {
    const { machine, dice, layers } = this.#world;
    const mirror = this.#world.node('mirror');
    const below = shallow ? this.#world.node(layers - 2) : null;
    await machine.addImage(mirror, this.#world.size, this.#world.cluster, below);
    const mode = dice.pick(['background', 'write-blocking']);
    const job = { 'job-id': 'job', device: this.#world.active, target: mirror, 'auto-dismiss': false };
    await machine.qmp.execute('blockdev-mirror', { ...job, sync: shallow ? 'top' : 'full', 'copy-mode': mode });
    const operation = { kind: 'copy', mirror, shallow } as const;
    const late = await this.#complete(operation);
    for (const name of whole(this.#world.track)) {
      // A shallow copy stays above the layers below, which keep theirs.
      await this.#compare(mirror, name, from(late.before, shallow ? layers - 1 : 0), late.coarse);
    }
    await this.#expectNames(mirror, whole(this.#world.track));
  }

  async #commitActive(): Promise<void> {
    const { machine, dice, layers, active } = this.#world;
    const base = dice.below(layers - 1);
    const baseNode = this.#world.node(base);
    const job = { 'job-id': 'job', device: active, 'base-node': baseNode, 'auto-dismiss': false };
    await machine.qmp.execute('block-commit', job);
    const late = await this.#complete({ kind: 'commit', top: active, base: baseNode });
    const committed = this.#world.writes.slice(base + 1).flat();
    for (const name of whole(this.#world.track)) {
      // The base's own bitmap records what the job writes.
      const own = (this.#world.track.get(name)?.made ?? layers) <= base;
      await this.#compare(baseNode, name, from(late.before, base), own ? committed : late.coarse);
    }
    await this.#expectNames(baseNode, [...new Set([...(this.#world.names[base] ?? []), ...whole(this.#world.track)])]);
  }

  /** From `ready` to the end of the merge, with writes at every stage. */
  async #complete(
    operation: Parameters<ChainWorld['apply']>[0],
  ): Promise<{ readonly before: Track; readonly coarse: readonly Write[] }> {
    const { machine, dice } = this.#world;
    await machine.until('job', 'ready');
    await this.#world.write(dice.below(3));
    await machine.until('job', 'ready');
    this.#expectDone('prepare', await this.#world.apply(operation, 'before'));
    const before = copyTrack(this.#world.track);
    // From here on the temporary bitmap counts too, in granules of a cluster.
    const coarse = await this.#world.write(dice.below(3));
    await machine.qmp.execute('job-complete', { id: 'job' });
    await machine.until('job', 'concluded');
    coarse.push(...(await this.#world.write(1 + dice.below(2))));
    this.#expectDone('plan', await this.#world.apply(operation));
    await machine.qmp.execute('job-dismiss', { id: 'job' });
    return { before, coarse };
  }

  async #commitIntermediate(): Promise<void> {
    const { machine, dice, layers, active, node } = this.#handles();
    const top = dice.between(1, layers - 2);
    const base = dice.below(top);
    const job = { 'job-id': 'job', device: active, 'top-node': node(top), 'base-node': node(base) };
    await machine.qmp.execute('block-commit', { ...job, 'auto-dismiss': false });
    await machine.until('job', 'concluded');
    await this.#world.write(1);
    this.#expectDone('plan', await this.#world.apply({ kind: 'commit', top: node(top), base: node(base) }));
    await machine.qmp.execute('job-dismiss', { id: 'job' });
    const track = this.#world.tracks[top] ?? new Map();
    const committed = this.#world.writes.slice(base + 1, top + 1).flat();
    for (const name of whole(track)) {
      const own = (track.get(name)?.made ?? layers) <= base;
      await this.#compare(node(base), name, from(track, base), own ? committed : []);
    }
    await this.#expectNames(node(base), [...new Set([...(this.#world.names[base] ?? []), ...whole(track)])]);
  }

  async #backup(pull: boolean): Promise<void> {
    const { machine, dice, active, node } = this.#handles();
    if (pull) await machine.addImage(node('scratch'), this.#world.size, this.#world.cluster, null);
    const target = pull ? node('scratch') : active;
    const known = whole(this.#world.track);
    // Now and then one that cannot be, which must be said.
    const bitmap = known.length > 0 && dice.chance(80) ? dice.pick(known) : dice.pick(['monday', "o'clock", 'c']);
    const into = `backup-${bitmap}`;
    const scratch = pull ? target : undefined;
    const applied = await this.#world.apply({ kind: 'backup', bitmap, into, scratch });
    if (!known.includes(bitmap)) {
      if (applied.result !== 'problems') this.#problems.push(`${bitmap}: expected problems, found ${applied.result}`);
      return;
    }
    this.#expectDone('plan', applied);
    // The job's bitmap is frozen: what the guest writes now is for the next backup.
    const then = copyTrack(this.#world.track);
    await this.#world.write(1);
    await this.#compare(target, bitmap, then, [], into);
  }

  async #delete(): Promise<void> {
    const { dice, machine } = this.#world;
    const held = [...new Set(this.#world.names.flatMap((names) => [...names]))];
    const bitmap = held.length === 0 ? 'nothing' : dice.pick(held);
    const before = await queryState(machine.qmp);
    const applied = await this.#world.apply({ kind: 'delete', bitmap });
    if (held.length === 0) {
      if (applied.result !== 'problems') this.#problems.push(`expected problems, found ${applied.result}`);
      return;
    }
    this.#expectDone('plan', applied);
    this.#compared++;
    const after = await queryState(machine.qmp);
    for (const [name, { bitmaps, readOnly }] of before.nodes) {
      const now = after.nodes.get(name);
      const left = bitmaps.filter((one) => one.name !== bitmap);
      if (JSON.stringify(now?.bitmaps) !== JSON.stringify(left)) this.#problems.push(`${name}: other bitmaps changed`);
      if (now?.readOnly !== readOnly) this.#problems.push(`${name}: read-only was ${readOnly}, is ${now?.readOnly}`);
    }
    for (const name of whole(this.#world.track)) {
      if (name !== bitmap && this.#world.track.get(name)?.made === this.#world.layers - 1) {
        await this.#compare(this.#world.active, name, this.#world.track, []);
      }
    }
  }

  #handles(): Pick<ChainWorld, 'machine' | 'dice' | 'layers' | 'active' | 'node'> {
    const { machine, dice, layers, active } = this.#world;
    return { machine, dice, layers, active, node: (what) => this.#world.node(what) };
  }

  /** A bitmap of QEMU against what was written since its checkpoint. */
  async #compare(node: string, name: string, track: Track, coarse: readonly Write[], shownAs = name): Promise<void> {
    this.#compared++;
    const { size, cluster, machine } = this.#world;
    const { granularity = 0, writes = [] } = track.get(name) ?? {};
    const bits = bitsOf(size, granularity, cluster, writes, coarse);
    const expected = bitmapSha256(bits, Math.ceil(size / granularity));
    const { sha256 } = await machine.qmp.execute<{ readonly sha256: string }>('x-debug-block-dirty-bitmap-sha256', {
      ...{ node, name: shownAs },
    });
    const shown = (await queryState(machine.qmp)).nodes.get(node)?.bitmaps.find((one) => one.name === shownAs);
    const count = bits.dirtyGranules() * granularity;
    if (shown?.granularity !== granularity) {
      this.#problems.push(`${node}/${shownAs}: granularity ${shown?.granularity}, expected ${granularity}`);
    }
    const kept = shownAs === name;
    if (shown?.persistent !== kept || shown.recording !== kept) {
      this.#problems.push(`${node}/${shownAs}: flags of another kind of bitmap`);
    }
    if (sha256 !== expected || shown?.count !== count) {
      this.#problems.push(`${node}/${shownAs}: count ${shown?.count}, expected ${count}; the bits differ`);
    }
  }

  async #expectNames(node: string, names: readonly string[]): Promise<void> {
    const bitmaps = (await queryState(this.#world.machine.qmp)).nodes.get(node)?.bitmaps ?? [];
    const found = bitmaps.map(({ name }) => name).sort();
    const expected = [...names].sort();
    if (found.join() !== expected.join()) this.#problems.push(`${node} has ${found}, expected ${expected}`);
  }

  #expectDone(what: string, { result, error, steps }: Awaited<ReturnType<ChainWorld['apply']>>): void {
    if ((result === 'done' || result === 'nothing') && error === undefined) return;
    this.#problems.push(`${what}: ${result}: ${error?.message}; ${steps.join('; ')}`);
  }
}

/** What was written since a layer became the active one: what came before is in the bitmaps of those below it. */
function from(track: Track, layer: number): Track {
  const later = (writes: readonly Write[]): Write[] => writes.filter((write) => write.layer >= layer);
  return new Map([...track].map(([name, one]) => [name, { ...one, writes: later(one.writes) }]));
}
