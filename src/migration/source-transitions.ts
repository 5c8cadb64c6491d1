/** Where a source stands. */
export type SourceState = 'idle' | 'setup' | 'precopy' | 'postcopy' | 'completing' | 'done' | 'cancelled' | 'failed';

/**
 * What happens to a source. `sent` is the end of the section that is being written: all its bytes were taken.
 */
export type SourceEvent = 'setup' | 'sent' | 'iterate' | 'switchover' | 'complete' | 'cancel' | 'fail';

const REFUSED = 'state-invalid';
const end = (state: SourceState): Record<SourceEvent, SourceState | typeof REFUSED> => ({
  setup: REFUSED,
  sent: REFUSED,
  iterate: REFUSED,
  switchover: REFUSED,
  complete: REFUSED,
  // What is over stays as it is: whoever cleans up need not know how far it came.
  cancel: state,
  fail: state,
});

/**
 * What each event leads to; all others are refused with `state-invalid`. Bits go out only when the guest has stopped:
 * after `switchover`, or while completing. Source: dirty-bitmap-states.md section 4.
 */
export const SOURCE_TRANSITIONS: Readonly<
  Record<SourceState, Readonly<Record<SourceEvent, SourceState | typeof REFUSED>>>
> = Object.freeze({
  idle: {
    setup: 'setup',
    sent: REFUSED,
    iterate: REFUSED,
    switchover: REFUSED,
    complete: REFUSED,
    cancel: 'cancelled',
    fail: 'failed',
  },
  setup: {
    setup: REFUSED,
    sent: 'precopy',
    iterate: REFUSED,
    switchover: REFUSED,
    complete: REFUSED,
    cancel: 'cancelled',
    fail: 'failed',
  },
  precopy: {
    setup: REFUSED,
    sent: 'precopy',
    iterate: 'precopy',
    switchover: 'postcopy',
    complete: 'completing',
    cancel: 'cancelled',
    fail: 'failed',
  },
  postcopy: {
    setup: REFUSED,
    sent: 'postcopy',
    iterate: 'postcopy',
    switchover: REFUSED,
    complete: 'completing',
    cancel: 'cancelled',
    fail: 'failed',
  },
  completing: {
    setup: REFUSED,
    sent: 'done',
    iterate: REFUSED,
    switchover: REFUSED,
    complete: REFUSED,
    cancel: 'cancelled',
    fail: 'failed',
  },
  done: end('done'),
  cancelled: end('cancelled'),
  failed: end('failed'),
});
