import { expect, test } from 'vitest';
import { median, pairedRatios, quantile, spreadOf } from '../../bench/statistics.js';

test('the median is the value in the middle, whatever the order', () => {
  expect(median([5, 1, 4])).toBe(4);
  expect(median([3, 1, 2, 100])).toBe(2.5);
  expect(median([7])).toBe(7);
  expect(median([])).toBeNaN();
});

test('the values are left in their order', () => {
  const values = [3, 1, 2];
  median(values);
  expect(values).toEqual([3, 1, 2]);
});

test('quantiles lie between neighbours, in proportion', () => {
  const values = [10, 20, 30, 40, 50];
  expect(quantile(values, 0)).toBe(10);
  expect(quantile(values, 0.1)).toBeCloseTo(14);
  expect(quantile(values, 0.25)).toBe(20);
  expect(quantile(values, 0.9)).toBeCloseTo(46);
  expect(quantile(values, 1)).toBe(50);
  expect(quantile([10, 9], 0.5)).toBe(9.5);
});

test('a spread tells where 80 % of the values lie, and how many there are', () => {
  const values = Array.from({ length: 101 }, (_, at) => 100 - at);
  expect(spreadOf(values)).toEqual({ median: 50, p10: 10, p90: 90, count: 101 });
});

test('a ratio is that of one round: a machine that slows down for both does not change it', () => {
  expect(pairedRatios([2, 20, 200], [1, 10, 100])).toEqual([2, 2, 2]);
  expect(median(pairedRatios([2, 20, 200], [1, 10, 100]))).toBe(2);
  expect(() => pairedRatios([1], [])).toThrow('the same round');
});
