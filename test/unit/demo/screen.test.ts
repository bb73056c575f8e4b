import { expect, test } from 'vitest';
import { createScreen, wantsColour } from '../../../appliance/demo/screen.ts';

const printed = (colour: boolean): string => {
  let text = '';
  const screen = createScreen((part) => {
    text += part;
  }, colour);
  screen.chapter('First');
  screen.command('croft vm list');
  screen.reach({ from: 'a', to: 'b', why: 'same VLAN', ping: true, tcp: false });
  return text;
};

test('prints chapters, commands and who reaches whom', () => {
  expect(printed(false)).toBe('\n1. First\n   $ croft vm list\n   a       → b       same VLAN   ping yes  TCP no \n');
});

test('colours change nothing but colours', () => {
  const coloured = printed(true);
  expect(coloured).toContain('\x1b[32myes\x1b[39m');
  expect(coloured.replace(/\x1b\[\d+m/g, '')).toBe(printed(false));
});

test.each([
  [{ isTTY: true }, {}, true],
  [{ isTTY: true }, { NO_COLOR: '1' }, false],
  [{ isTTY: true }, { TERM: 'dumb' }, false],
  [{}, {}, false],
  [{}, { FORCE_COLOR: '1' }, true],
  [{}, { FORCE_COLOR: '1', NO_COLOR: '1' }, false],
])('%j with %j: colours %s', (stream, env, wanted) => {
  expect(wantsColour(stream, env)).toBe(wanted);
});
