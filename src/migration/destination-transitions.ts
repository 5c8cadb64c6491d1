import type { Code } from '../rules.js';

/** Where a destination stands: with `running` and `done` the VM was started. */
export type DestinationState = 'loading' | 'running' | 'loaded' | 'done' | 'cancelled' | 'failed';

/** What happens to a destination: a chunk comes, the VM starts, the stream ends, is given up, or breaks off. */
export type DestinationEvent = 'chunk' | 'vm-start' | 'end' | 'cancel' | 'lost' | 'fail';

/**
 * What each event leads to: a state, or the code of the refusal. Cancellation is sticky, for all bitmaps together; a
 * connection that is lost before the VM was started is a failure, after that only a cancellation.
 * Source: dirty-bitmap-states.md section 3.
 */
export const DESTINATION_TRANSITIONS = Object.freeze({
  loading: {
    chunk: 'loading',
    'vm-start': 'running',
    end: 'loaded',
    cancel: 'cancelled',
    lost: 'failed',
    fail: 'failed',
  },
  running: {
    chunk: 'running',
    'vm-start': 'state-invalid',
    end: 'done',
    cancel: 'cancelled',
    lost: 'cancelled',
    fail: 'failed',
  },
  loaded: {
    chunk: 'state-invalid',
    'vm-start': 'done',
    end: 'state-invalid',
    cancel: 'cancelled',
    lost: 'loaded',
    fail: 'failed',
  },
  done: {
    chunk: 'state-invalid',
    'vm-start': 'state-invalid',
    end: 'state-invalid',
    cancel: 'cancelled',
    lost: 'done',
    fail: 'failed',
  },
  cancelled: {
    chunk: 'cancelled',
    'vm-start': 'cancelled',
    end: 'cancelled',
    cancel: 'cancelled',
    lost: 'cancelled',
    fail: 'failed',
  },
  failed: {
    chunk: 'failed',
    'vm-start': 'failed',
    end: 'failed',
    cancel: 'failed',
    lost: 'failed',
    fail: 'failed',
  },
} as const satisfies Record<DestinationState, Record<DestinationEvent, DestinationState | 'state-invalid'>>);

/**
 * Where an incoming bitmap stands: `loading` before and `live` after the VM was started without it, `waiting` when it
 * came to its end before the VM was started, `done` when it belongs to the VM, `dropped` when it was given up.
 */
export type IncomingState = 'none' | 'loading' | 'live' | 'waiting' | 'done' | 'dropped';

/** What happens to an incoming bitmap. `start-late` is a START after the VM was started. */
export type IncomingEvent = 'start' | 'start-late' | 'bits' | 'complete' | 'vm-start' | 'cancel';

/**
 * What each event leads to: a state, or the code of the fault. Rows as in dirty-bitmap-states.md section 3, faults as
 * in section 7.
 */
export const INCOMING_TRANSITIONS = Object.freeze({
  none: {
    start: 'loading',
    'start-late': 'start-after-run',
    bits: 'never-started',
    complete: 'never-started',
    'vm-start': 'none',
    cancel: 'none',
  },
  loading: {
    start: 'started-twice',
    'start-late': 'started-twice',
    bits: 'loading',
    complete: 'waiting',
    'vm-start': 'live',
    cancel: 'dropped',
  },
  live: {
    start: 'started-twice',
    'start-late': 'started-twice',
    bits: 'live',
    complete: 'done',
    'vm-start': 'live',
    cancel: 'dropped',
  },
  waiting: {
    start: 'started-twice',
    'start-late': 'started-twice',
    bits: 'bits-after-complete',
    complete: 'completed-twice',
    'vm-start': 'done',
    cancel: 'dropped',
  },
  done: {
    start: 'started-twice',
    'start-late': 'started-twice',
    bits: 'bits-after-complete',
    complete: 'completed-twice',
    'vm-start': 'done',
    cancel: 'done',
  },
  dropped: {
    start: 'dropped',
    'start-late': 'dropped',
    bits: 'dropped',
    complete: 'dropped',
    'vm-start': 'dropped',
    cancel: 'dropped',
  },
} as const satisfies Record<IncomingState, Record<IncomingEvent, IncomingState | Code>>);

/** What a fault leads to: the migration fails, the bitmaps are given up, or it is only reported (strict: it fails). */
export type FaultEffect = 'fatal' | 'cancel' | 'report';

/**
 * What each fault of a stream leads to. What QEMU aborts on, or overwrites a bitmap for, is fatal here.
 * Source: dirty-bitmap-states.md sections 3 (Cancellation) and 7.
 */
export const FAULT_EFFECTS = Object.freeze({
  // Only the bitmaps suffer
  'name-missing': 'cancel',
  'node-not-found': 'cancel',
  'alias-unknown': 'cancel',
  'never-started': 'cancel',
  'bits-size-mismatch': 'cancel',
  // The migration fails, as in QEMU
  'section-version': 'fatal',
  'name-empty': 'fatal',
  'bitmap-exists': 'fatal',
  'started-twice': 'fatal',
  'start-flags-reserved': 'fatal',
  'granularity-differs': 'fatal',
  'bitmap-busy': 'fatal',
  'bitmap-readonly': 'fatal',
  'bitmap-inconsistent': 'fatal',
  // QEMU aborts
  'granularity-invalid': 'fatal',
  'bits-misaligned': 'fatal',
  'bits-out-of-range': 'fatal',
  'start-after-run': 'fatal',
  'bitmap-too-large': 'fatal',
  // QEMU goes on with something that nobody meant
  'name-nul': 'fatal',
  'name-ambiguous': 'fatal',
  'flags-two-kinds': 'fatal',
  'flags-zeroes-without-bits': 'fatal',
  'sector-overflow': 'fatal',
  'sector-count-zero': 'fatal',
  'bits-after-complete': 'fatal',
  'completed-twice': 'fatal',
  // Odd, or what a destination cannot know better
  'name-not-utf8': 'report',
  'flags-unknown': 'report',
  'flags-wide': 'report',
  'flags-none': 'report',
  'bits-padding': 'report',
  'bits-past-end': 'report',
  'chunk-gap': 'report',
  'chunk-order': 'report',
  'chunk-overlap': 'report',
  'persistent-unstorable': 'report',
} as const satisfies Partial<Record<Code, FaultEffect>>);

/** Code of a fault that a stream can have. */
export type FaultCode = keyof typeof FAULT_EFFECTS;
