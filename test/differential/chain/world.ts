import { operationChain } from '../../../src/chain/operation-chain.js';
import { type Operation, planBefore, planOperation } from '../../../src/chain/plan-operation.js';
import { type Applied, applyPlan } from '../../../src/qmp/apply-plan.js';
import type { Dice } from '../dice.js';
import type { ChainMachine } from './machine.js';
import { copyTrack, type Track, type Write } from './truth.js';

const SIZES = [1 << 20, 3 * (1 << 20), (1 << 20) + 4608];
const NAMES = ['monday', "o'clock", 'c'];

/** A disk with a chain of layers, and the history of its bitmaps. Layer 0 is the base. */
export class ChainWorld {
  readonly size: number;
  readonly cluster: number;
  readonly layers: number;
  /** Of the active layer. */
  track: Track = new Map();
  /** As it was when each layer got an overlay. */
  readonly tracks: Track[] = [];
  /** By layer. */
  readonly writes: Write[][] = [];
  /** Names on each layer. */
  readonly names: Set<string>[] = [];
  readonly dice: Dice;
  readonly machine: ChainMachine;
  readonly #prefix: string;

  constructor(machine: ChainMachine, dice: Dice, prefix: string) {
    this.machine = machine;
    this.dice = dice;
    this.#prefix = prefix;
    this.size = dice.pick(SIZES);
    this.cluster = dice.pick([4096, 65_536]);
    this.layers = dice.pick([3, 5]);
  }

  node(what: number | string): string {
    return `${this.#prefix}-${what}`;
  }

  get active(): string {
    return this.node(this.writes.length - 1);
  }

  async build(): Promise<void> {
    for (let layer = 0; layer < this.layers; layer++) {
      await this.machine.addImage(this.node(layer), this.size, this.cluster, null);
      if (layer === 0) await this.machine.plug(this.node(0));
      else await this.#snapshot(layer);
      this.writes.push([]);
      this.names.push(new Set(this.track.keys()));
      for (let turns = this.dice.between(1, 4); turns > 0; turns--) await this.#turn(layer);
    }
  }

  /** Some writes of the guest; they are noted for the bitmaps that record, and for their layer. */
  async write(count: number): Promise<Write[]> {
    const writes: Write[] = [];
    for (let left = count; left > 0; left--) {
      const offset = this.dice.below(this.size / 512) * 512;
      const length = Math.min(this.size - offset, (1 + this.dice.below(this.dice.pick([1, 16, 200]))) * 512);
      await this.machine.write(offset, length);
      writes.push({ offset, length, layer: this.writes.length - 1 });
    }
    this.writes.at(-1)?.push(...writes);
    for (const tracked of this.track.values()) if (tracked.recording) tracked.writes.push(...writes);
    return writes;
  }

  /** Plans and applies, as the command line does. */
  async apply(operation: Operation, when: 'before' | 'after' = 'after'): Promise<Applied> {
    return await applyPlan(this.machine.qmp, {
      plan: (state) => {
        const chain = operationChain(this.active, operation, state);
        return (when === 'before' ? planBefore : planOperation)(chain, state.nodes, operation);
      },
    });
  }

  async #snapshot(layer: number): Promise<void> {
    const { result, error } = await this.apply({ kind: 'snapshot', overlay: this.node(layer) });
    if (result !== 'done') throw new Error(`snapshot: ${result}: ${error?.message}`);
    this.tracks.push(copyTrack(this.track));
    for (const [name, { recording, persistent }] of this.track) if (!recording || !persistent) this.track.delete(name);
  }

  async #turn(layer: number): Promise<void> {
    const { dice } = this;
    const name = dice.pick(NAMES);
    const node = this.node(layer);
    const { qmp } = this.machine;
    const tracked = this.track.get(name);
    const fate = dice.below(100);
    if (tracked === undefined && fate < 70) {
      // With the layer below having it, it would take up that one's run, with what happened in between lost.
      if (this.names[layer - 1]?.has(name)) return;
      const granularity = dice.pick([512, 4096, 65_536, 262_144]);
      const persistent = dice.chance(90);
      await qmp.execute('block-dirty-bitmap-add', { node, name, granularity, persistent });
      const hole = this.names.some((names) => names.has(name));
      this.track.set(name, { granularity, persistent, made: layer, recording: true, hole, writes: [] });
      this.names[layer]?.add(name);
    } else if (tracked !== undefined && fate < 8) {
      await qmp.execute('block-dirty-bitmap-remove', { node, name });
      this.track.delete(name);
      this.names[layer]?.delete(name);
    } else if (tracked !== undefined && fate < 16) {
      await qmp.execute('block-dirty-bitmap-disable', { node, name });
      tracked.recording = false;
    }
    await this.write(dice.between(0, 3));
  }
}
