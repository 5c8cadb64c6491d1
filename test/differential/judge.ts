import type { Destination } from '../../src/migration/destination.js';
import type { QemuPrediction } from '../../src/migration/qemu-prediction.js';
import { STREAM_REASONS } from '../../src/migration/qemu-stream-reasons.js';
import type { QemuVersion } from '../../src/migration/qemu-version.js';
import type { IncomingRun, Verdict } from './incoming.js';
import type { Outcome } from './outcome.js';
import { differences, type Shown, shownByPrediction } from './shown.js';

/** What QEMU, our prediction and our destination made of a stream. */
export interface Judged {
  readonly run: IncomingRun;
  readonly prediction: QemuPrediction;
  readonly destination: Destination;
  readonly version: QemuVersion;
  /** Our bitmaps, before and after. */
  readonly before: readonly Shown[];
  readonly after: readonly Shown[];
}

const PREDICTED: Readonly<Record<QemuPrediction['verdict'], Verdict>> = {
  load: 'loaded',
  cancel: 'cancelled',
  fail: 'refused',
  abort: 'aborted',
  'setup-refused': 'hangs',
};

/** Faults for which QEMU goes on with something that nobody meant. Source: dirty-bitmap-states.md section 7. */
const NOBODY_MEANT: readonly string[] = [
  'name-nul',
  'name-ambiguous',
  'flags-two-kinds',
  'flags-zeroes-without-bits',
  'sector-overflow',
  'sector-count-zero',
  'bits-after-complete',
  'completed-twice',
];

/** For what QEMU aborts, and what ours then says; `disk-empty` ours takes. Source: dirty-bitmap-states.md section 7. */
const REFUSED_FOR: Readonly<Record<string, readonly string[]>> = {
  granularity: ['granularity-invalid'],
  'disk-too-large': ['bitmap-too-large'],
  'bits-start': ['bits-misaligned', 'bits-out-of-range', 'sector-overflow', 'sector-count-zero'],
  'bits-past-end': ['bits-out-of-range', 'sector-overflow', 'sector-count-zero'],
  'bits-length': ['bits-misaligned', 'bits-out-of-range', 'sector-count-zero'],
  'start-after-run': ['start-after-run'],
};

/** Whether all three came to the same, and if not, whether that is one of the listed exceptions. */
export function judge(judged: Judged): Outcome {
  const { run, prediction, destination, before, after } = judged;
  const ours = verdictOf(destination);
  if (readsPastEnd(run, prediction))
    return { kind: 'exception', name: 'QEMU aborts on zeroes that it reads past the end of a cut stream' };
  const problems = checkPrediction(run, prediction);
  const fault = destination.fault?.code;
  const about = `QEMU ${run.verdict} (${reasonsOf(prediction)}), ours ${ours} (${fault ?? 'no fault'})`;
  // Whatever QEMU does, a refusal leaves what was there before as it was.
  if (ours === 'refused') {
    problems.push(...differences(after, before).map((text) => `${about}: the refusal left its mark: ${text}`));
  }
  const found = ours === run.verdict && ours !== 'refused' ? differences(after, run.bitmaps) : [];
  if (problems.length === 0 && ours === run.verdict && found.length === 0) return { kind: 'agree', verdict: ours };
  const exception = problems.length === 0 ? exceptionOf(judged, ours) : undefined;
  if (exception !== undefined) return { kind: 'exception', name: exception };
  const all = [...problems, ...(ours === run.verdict ? [] : [about]), ...found.map((text) => `${about}: ${text}`)];
  return { kind: 'differ', problems: [...all, `stderr: ${run.stderr.trim()}`] };
}

/**
 * QEMU reads zeroes where a chunk's header is cut, and goes on to judge the range; so a stream that both we and the
 * prediction take for cut may kill it.
 */
function readsPastEnd(run: IncomingRun, { reasons }: QemuPrediction): boolean {
  const cut = reasons.some(({ code }) => code === 'cut');
  return cut && run.verdict === 'aborted' && run.stderr.includes('serialization_chunk: Assertion');
}

function checkPrediction(run: IncomingRun, prediction: QemuPrediction): string[] {
  const verdict = PREDICTED[prediction.verdict];
  if (verdict !== run.verdict) {
    return [`predicted ${verdict} (${reasonsOf(prediction)}), QEMU ${run.verdict}`];
  }
  const shown = verdict === 'loaded' || verdict === 'cancelled' ? shownByPrediction(prediction) : [];
  return differences(shown, run.bitmaps, 'predicted');
}

/** The name of what keeps us from the same, where it is one of those listed. */
function exceptionOf(judged: Judged, ours: Verdict): string | undefined {
  const { run, prediction, destination, version, after } = judged;
  const fault = destination.fault?.code ?? '';
  const last = prediction.reasons.findLast(({ effect }) => effect !== 'note')?.code ?? '';
  if (run.verdict === 'aborted' && ours === 'refused' && REFUSED_FOR[last]?.includes(fault) === true)
    return `QEMU aborts, ours refuses: ${last}`;
  if (ours === 'refused' && NOBODY_MEANT.includes(fault)) return `QEMU goes on, ours refuses: ${fault}`;
  // Since 11.1 QEMU gives up too.
  const old = judged.before.length > 0 && version !== '11.1';
  if (ours === 'cancelled' && fault === 'never-started' && old) return 'QEMU overwrites, ours cancels: never-started';
  if (run.verdict === 'refused' && last in STREAM_REASONS) return `around the bitmaps, not asked for: ${last}`;
  const free = after.map((one) => ({ ...one, busy: one.busy && one.recording }));
  if (version === '5.2' && differences(free, run.bitmaps).length === 0) {
    return 'QEMU 5.2 does not keep a disabled bitmap busy until it is complete, ours does';
  }
  const kept = destination.findings.list.some(({ code }) => code === 'bits-past-end');
  if (kept && differences(withoutHash(after), withoutHash(run.bitmaps)).length === 0) {
    return 'QEMU keeps bits past the end of the disk, ours takes them off';
  }
  return undefined;
}

function withoutHash(shown: readonly Shown[]): Shown[] {
  return shown.map((one) => ({ ...one, sha256: '' }));
}

function verdictOf({ state }: Destination): Verdict {
  if (state === 'failed') return 'refused';
  return state === 'cancelled' ? 'cancelled' : 'loaded';
}

function reasonsOf({ reasons }: QemuPrediction): string {
  return reasons.map(({ code }) => code).join(' ') || 'no reason';
}
