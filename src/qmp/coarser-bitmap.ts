import type { Action } from '../chain/actions.js';
import { type QmpCommand, qmpCommand } from './commands.js';

/** A bitmap that is made anew with another granularity. */
export interface Replacement {
  readonly node: string;
  readonly name: string;
  /** Bytes. */
  readonly granularity: number;
  readonly recording: boolean;
  readonly persistent: boolean;
  /** Names that the node has already. */
  readonly taken: readonly string[];
}

/**
 * The commands that give a bitmap another granularity: a temporary one takes over, under its own name, and then a new one
 * under the old name. Two transactions, as a name is free only after the one that removes it. In both of them the next
 * bitmap records before the last is merged into it and removed, so no write is lost. What is dirty grows to whole granules.
 * The temporary one is as persistent as the old one: a QEMU that quits between the two stores it, under its own name.
 */
export function coarserCommands(replacement: Replacement): QmpCommand[] {
  const { node, name, granularity, recording, persistent, taken } = replacement;
  let temporary = 'dirtybitmap-coarser';
  for (let at = 2; taken.includes(temporary); at++) temporary = `dirtybitmap-coarser-${at}`;
  const disabled = !recording;
  const take = (from: string, to: string): QmpCommand => {
    const actions: Action[] = [
      { type: 'block-dirty-bitmap-add', data: { node, name: to, granularity, persistent, disabled } },
      { type: 'block-dirty-bitmap-merge', data: { node, target: to, bitmaps: [{ node, name: from }] } },
      { type: 'block-dirty-bitmap-remove', data: { node, name: from } },
    ];
    return qmpCommand('transaction', { actions });
  };
  return [take(name, temporary), take(temporary, name)];
}
