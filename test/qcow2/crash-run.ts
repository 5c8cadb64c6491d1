import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Dice } from '../differential/dice.js';
import { type CrashOutcome, type OnState, OPERATION_NAMES, tryCrashes } from './crash-case.js';
import { HUGE, ImageKitchen, NEAR_END, nearEnd, PLAIN, type Recipe, SPECIAL } from './crash-images.js';
import { askQemu } from './crash-qemu.js';

/** How much is tried. */
export interface CrashRun {
  readonly seed: number;
  /** It ends with the case in which so many states are reached. */
  readonly states: number;
  /** Number of the first case; those before it are left out. */
  readonly first?: number;
  /** Percent of the states that `qemu-img check` is asked about. */
  readonly qemuPercent: number;
  /** Images that are made, at most, of each kind; default all, those of large clusters too, which are slow. */
  readonly images?: number;
  /** Called after each case. */
  readonly onCase?: (states: number) => void;
}

/** What came of it. */
export interface CrashTally {
  images: number;
  cases: number;
  states: number;
  /** Of those, the ones that `qemu-img check` saw. */
  checked: number;
  /** Operations that were refused before anything was written, by code. */
  readonly refused: Map<string, number>;
  /** What was in the plans. */
  readonly traits: Map<string, number>;
  readonly problems: string[];
}

type Kinds = readonly (readonly [percent: number, recipes: readonly Recipe[]])[];
/** Images of each kind, and how often they come. */
const KINDS: Kinds = [
  [29, PLAIN],
  [35, NEAR_END],
  [35, SPECIAL],
  [1, HUGE],
];

/** Tries operations on images until enough states were seen; all follows from the seed. */
export async function runCrashes(options: CrashRun): Promise<CrashTally> {
  const tally: CrashTally = {
    ...{ images: 0, cases: 0, states: 0, checked: 0 },
    ...{ refused: new Map(), traits: new Map(), problems: [] },
  };
  const kinds = options.images === undefined ? KINDS : fewOf(KINDS, options.images, options.seed);
  const kitchen = new ImageKitchen();
  try {
    for (let index = options.first ?? 0; tally.states < options.states; index++) {
      const dice = new Dice(options.seed, 'crash', index);
      const recipe = chooseRecipe(kinds, dice);
      const operation = dice.pick(OPERATION_NAMES);
      const problems = await runCase(recipe, operation, dice, { kitchen, options, tally });
      for (const one of problems) tally.problems.push(`case ${index}: ${operation}, image ${recipe.name}: ${one}`);
      options.onCase?.(tally.states);
    }
  } finally {
    kitchen.close();
  }
  return tally;
}

function fewOf(kinds: Kinds, count: number, seed: number): Kinds {
  const dice = new Dice(seed, 'images', 0);
  return kinds.map(([percent, recipes]) => {
    const few = recipes === HUGE ? PLAIN : recipes;
    return [percent, Array.from({ length: count }, () => dice.pick(few))];
  });
}

function chooseRecipe(kinds: Kinds, dice: Dice): Recipe {
  let percent = dice.below(100);
  for (const [share, recipes] of kinds) {
    if (percent < share) return dice.pick(recipes);
    percent -= share;
  }
  throw new Error('the shares are no 100 percent');
}

interface Context {
  readonly kitchen: ImageKitchen;
  readonly options: CrashRun;
  readonly tally: CrashTally;
}

/** One operation, and on the image that it leaves sometimes another. */
async function runCase(recipe: Recipe, operation: string, dice: Dice, context: Context): Promise<string[]> {
  const { kitchen, options, tally } = context;
  const problems: string[] = [];
  const path = join(kitchen.folderOf(recipe), 'state');
  const onState: OnState = async ({ file }) => {
    if (!dice.chance(options.qemuPercent) || recipe.closed) return [];
    tally.checked++;
    writeFileSync(path, file);
    return await askQemu(path, file);
  };
  const isNew = !kitchen.has(recipe);
  const made = kitchen.make(recipe);
  if (isNew && !recipe.closed) problems.push(...(await askQemu(join(kitchen.folderOf(recipe), 'image'), made)));
  if (isNew) tally.images++;
  const base = NEAR_END.includes(recipe) ? nearEnd(made, recipe, dice) : made;
  const first = await tryCrashes(
    {
      ...{ base, operation, dice, subsets: 6 },
      ...{ paranoid: dice.chance(20), proveOwnership: !dice.chance(10), undo: dice.chance(25) },
    },
    onState,
  );
  count(first, tally);
  problems.push(...first.problems);
  if (first.left === undefined || !dice.chance(50)) return problems;
  const next = dice.pick(OPERATION_NAMES);
  const second = await tryCrashes(
    {
      ...{ base: first.left, operation: next, dice, subsets: 3 },
      ...{ paranoid: dice.chance(20), proveOwnership: true, undo: dice.chance(25) },
    },
    onState,
  );
  count(second, tally);
  return [...problems, ...second.problems.map((problem) => `then ${next}: ${problem}`)];
}

function count({ states, refused, idle, traits }: CrashOutcome, tally: CrashTally): void {
  if (idle) return;
  tally.cases++;
  tally.states += states;
  if (refused !== undefined) tally.refused.set(refused, (tally.refused.get(refused) ?? 0) + 1);
  for (const trait of traits) tally.traits.set(trait, (tally.traits.get(trait) ?? 0) + 1);
}

/** The tally in some lines. */
export function crashLines(tally: CrashTally): string[] {
  const listed = (map: ReadonlyMap<string, number>): string =>
    [...map]
      .sort()
      .map(([name, times]) => `${times} ${name}`)
      .join(', ') || 'none';
  const { images, cases, states, checked, problems } = tally;
  return [
    `${images} images, ${cases} commits, ${states} crash states, ${checked} of them checked by qemu-img, ${problems.length} failures`,
    `  in the plans: ${listed(tally.traits)}`,
    `  refused before any write: ${listed(tally.refused)}`,
  ];
}
