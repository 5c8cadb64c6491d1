import { bashCompletion } from './bash.js';
import type { CommandWords } from './command-words.js';
import { fishCompletion } from './fish.js';
import { zshCompletion } from './zsh.js';

/** The shells that the command line is completed in; a script for each. */
export const COMPLETIONS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const satisfies Record<
  string,
  (program: CommandWords) => string
>;
