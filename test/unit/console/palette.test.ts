import { expect, it } from 'vitest';
import { matching, type Entry } from '../../../ui-api/console/src/ui/palette-model.ts';

const entry = (title: string, group = 'Pages', detail?: string): Entry => ({
  id: title,
  group,
  title,
  run: () => {},
  ...(detail ? { detail } : {}),
});
const entries = [
  entry('Overview'),
  entry('Networks'),
  entry('web-1', 'Machines', '10.43.0.7'),
  entry('Start: web-1', 'Commands'),
  entry('my-web', 'Machines'),
];
const titles = (typed: string) => matching(entries, typed).map(({ title }) => title);

it('finds by any words of title, group and detail, what begins with them first', () => {
  expect(titles('')).toHaveLength(entries.length);
  expect(titles('web')).toEqual(['web-1', 'Start: web-1', 'my-web']);
  expect(titles('start WEB')).toEqual(['Start: web-1']);
  expect(titles('machines web')).toEqual(['web-1', 'my-web']);
  expect(titles('10.43')).toEqual(['web-1']);
  expect(titles('nothing')).toEqual([]);
});
