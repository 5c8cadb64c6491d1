import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { CASES, selectCases } from '../../bench/cases.js';
import { type Outcome, resultsMarkdown, summaryLine, tableLines, verdictOf } from '../../bench/table.js';

const namesOf = (wanted: readonly string[]): string[] => selectCases(wanted).map(({ name }) => name);
const outcome = (name: string, result: Outcome['result'], goal?: Outcome['case']['goal']): Outcome => ({
  case: { name, group: 'g', title: 'what', against: 'something', ...(goal && { goal }) },
  result,
});
const value = (median: number): { value: { median: number; p10: number; p90: number; count: number } } => ({
  value: { median, p10: median / 2, p90: median * 2, count: 15 },
});

test('names are unique, and none begins like another group', () => {
  const names = CASES.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});

test('cases are chosen by the beginning of their name or group', () => {
  expect(namesOf([])).toEqual(CASES.map(({ name }) => name));
  expect(namesOf(['decode-d'])).toEqual(['decode-dense', 'decode-destination']);
  expect(new Set(selectCases(['pipe', 'start']).map(({ group }) => group))).toEqual(new Set(['pipe', 'start']));
  expect(() => selectCases(['nothing'])).toThrow('no case or group begins with "nothing"');
});

test('every goal of the issue is one of a case', () => {
  const goals = CASES.flatMap(({ goal }) => (goal === undefined ? [] : Object.values(goal)));
  const wanted = [
    ...[0.75, 1, 20, 10, 2, 0.7, 1.3, 1.6, 8, 5, 2, 1.4, 7],
    ...[1.2, 2, 30, 50, 1.8, 1.1, 6, 44, 29, 7.8, 3, 0.7, 150],
    ...[0.6, 0.4, 0.5, 0.8, 0.8, 0.5, 64, 2, 1.5, 0.8],
  ];
  expect(goals).toEqual(wanted);
});

test('the table says what was reached, missed, absent and failed', () => {
  const outcomes = [
    outcome('fast', value(2.5), { atLeast: 2 }),
    outcome('slow', value(1.5), { atLeast: 2 }),
    outcome('long', value(1.5), { atMost: 2 }),
    outcome('told', value(123.4)),
    outcome('lonely', { absent: 'QEMU is not there' }, { atLeast: 1 }),
    outcome('broken', { failed: 'Error: it | broke\nat once' }, { atLeast: 1 }),
  ];
  expect(outcomes.map(verdictOf)).toEqual(['yes', 'no', 'yes', '-', 'absent', 'failed']);
  expect(summaryLine(outcomes)).toBe('2 reached, 1 missed, 1 absent, 1 failed');
  const lines = tableLines(outcomes);
  expect(lines[1]).toMatch(/^fast +2\.50 +1\.25\.\.5\.00 +>= 2 +yes +what \/ something$/);
  expect(lines[5]).toMatch(/absent +QEMU is not there$/);
  const machine = { date: '2026-01-01', cpu: 'C', cores: 2, memory: 4, node: '20', v8: '11', qemu: '7.2', peers: {} };
  expect(resultsMarkdown(outcomes, machine)).toContain('| broken |  |  | >= 1 | failed |  |  | Error: it \\| broke |');
});

test('the command lists what it would run, and refuses what it does not know', () => {
  const run = (...args: string[]): ReturnType<typeof spawnSync> =>
    spawnSync(process.execPath, ['--import', 'tsx', 'bench/run.ts', ...args], { encoding: 'utf8' });
  const { status, stdout } = run('--list', 'compact');
  expect(status).toBe(0);
  expect(String(stdout).trim().split('\n')).toHaveLength(4);
  expect(run('nothing').status).not.toBe(0);
});
