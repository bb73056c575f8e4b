import { expect, test } from 'vitest';
import { benchmarksPage, median, quantile } from '../../bench/figures.ts';

test('median and quantiles', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(quantile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.99)).toBe(10);
  expect(quantile([10, 1], 0)).toBe(1);
});

test('the page has ratio of medians, spread and goal', () => {
  const figure = { name: 'F', ours: [2, 4, 3], against: [2, 2, 1], againstName: 'by hand', unit: 's', goal: '≤ 2×', how: 'so' };
  const page = benchmarksPage([figure], 'A machine.', '2000-01-01');
  expect(page).toContain('| F | 3.00 s (2.00 – 4.00) | 2.00 s (1.00 – 2.00), by hand | 1.50× | ≤ 2× |');
});
