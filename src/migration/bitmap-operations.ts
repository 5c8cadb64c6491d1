import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { Code } from '../rules.js';

/** What can be the matter with a bitmap. */
export type BitmapCondition = 'busy' | 'readonly' | 'inconsistent' | 'successor' | 'no-successor';

/** What is done to a bitmap by name (QMP), by a job, or by a migration. */
export type BitmapOperation =
  | 'remove'
  | 'rename'
  | 'clear'
  | 'enable'
  | 'disable'
  | 'merge-into'
  | 'merge-from'
  | 'migrate'
  | 'create-successor'
  | 'enable-successor'
  | 'reclaim'
  | 'abdicate'
  | 'release-successor';

/**
 * Which conditions refuse which operation, in the order in which they are looked at. A read-only bitmap may be enabled,
 * disabled and read from, an inconsistent one only be removed. Source: dirty-bitmap-states.md sections 3 and 4.
 */
export const REFUSED_BY: Readonly<Record<BitmapOperation, readonly BitmapCondition[]>> = Object.freeze({
  remove: ['busy', 'readonly'],
  rename: ['busy', 'readonly', 'inconsistent'],
  clear: ['busy', 'readonly', 'inconsistent'],
  enable: ['busy', 'inconsistent'],
  disable: ['busy', 'inconsistent'],
  'merge-into': ['busy', 'readonly', 'inconsistent'],
  'merge-from': ['busy', 'inconsistent'],
  migrate: ['busy', 'readonly', 'inconsistent'],
  'create-successor': ['busy', 'successor', 'inconsistent'],
  'enable-successor': ['no-successor'],
  reclaim: ['no-successor'],
  abdicate: ['no-successor'],
  'release-successor': ['no-successor'],
});

/** The code of the refusal that a condition leads to. */
export const CONDITION_CODE = Object.freeze({
  busy: 'bitmap-busy',
  readonly: 'bitmap-readonly',
  inconsistent: 'bitmap-inconsistent',
  successor: 'successor-exists',
  'no-successor': 'successor-missing',
} as const satisfies Record<BitmapCondition, Code>);

const WHY: Readonly<Record<BitmapCondition, string>> = {
  busy: 'is in use by a migration or a job; wait until that is over, or cancel it',
  readonly: 'is read-only, because its image is; reopen the node writable',
  inconsistent: 'was in use when its QEMU died, so what it says is not to be trusted; remove it and make a full backup',
  successor: 'has a successor already; reclaim it or let it take over first',
  'no-successor': 'has no successor; create one first',
};

/** What the check of an operation needs to know of a bitmap. */
export interface BitmapConditions {
  readonly name: { readonly text: string } | undefined;
  readonly busy: boolean;
  readonly readOnly: boolean;
  readonly inconsistent: boolean;
  readonly successor: unknown;
}

/** Why an operation is refused. */
export interface OperationRefusal {
  readonly code: Code;
  /** What was wanted, what is in the way, what to do. */
  readonly message: string;
}

/** Why an operation on a bitmap would be refused, or undefined where nothing is in the way. */
export function refusalOf(operation: BitmapOperation, bitmap: BitmapConditions): OperationRefusal | undefined {
  const condition = REFUSED_BY[operation].find((each) => holds(each, bitmap));
  if (condition === undefined) return undefined;
  const name = bitmap.name === undefined ? 'an unnamed bitmap' : `bitmap ${quoted(bitmap.name.text)}`;
  return { code: CONDITION_CODE[condition], message: `${operation}: ${name} ${WHY[condition]}` };
}

/** @throws DirtyBitmapError the code of the first condition that refuses the operation. */
export function assertAllowed(operation: BitmapOperation, bitmap: BitmapConditions): void {
  const refusal = refusalOf(operation, bitmap);
  if (refusal !== undefined) throw new DirtyBitmapError(refusal.code, refusal.message);
}

function holds(condition: BitmapCondition, bitmap: BitmapConditions): boolean {
  switch (condition) {
    case 'busy':
      return bitmap.busy;
    case 'readonly':
      return bitmap.readOnly;
    case 'inconsistent':
      return bitmap.inconsistent;
    case 'successor':
      return bitmap.successor !== undefined;
    default:
      return bitmap.successor === undefined;
  }
}
