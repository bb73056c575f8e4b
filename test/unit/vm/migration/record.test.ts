/** What a finished migration's record says to the box that the guest came from. */
import { expect, test } from 'vitest';
import type { VirtualMachineInstance } from '../../../../appliance/resources/virtual-machine.ts';
import { isGivenAway } from '../../../../appliance/vm/migration/record.ts';

const moved = (phase: string, nodeName = 'b') =>
  ({
    status: { phase, nodeName, migrationState: { sourceNode: 'a', targetNode: 'b', croft: { state: 'completed' } } },
  }) as unknown as VirtualMachineInstance;

test('a guest that runs elsewhere is none of its former box', () => {
  expect(isGivenAway(moved('Running'), 'a')).toBe(true);
  expect(isGivenAway(moved('Running'), 'b')).toBe(false);
});

test('one that came back, or whose new box died, is', () => {
  expect(isGivenAway(moved('Running', 'a'), 'a')).toBe(false);
  // Fenced: the box it came from may be the only one left to start it again.
  expect(isGivenAway(moved('Failed'), 'a')).toBe(false);
});
