import { expect, test } from 'vitest';
import { isUnfinished, placeBootCode, placeCore, placeUnfinishedCode } from '../../../installer/boot-loader.ts';

const mbr = Buffer.alloc(512, 0x11);
const bootImage = Buffer.alloc(512, 0x22);

test('core.img is told where the rest of it stands', () => {
  const placed = placeCore(Buffer.alloc(1300, 5), 2048n);
  expect(placed.length).toBe(1536);
  expect(placed.readBigUInt64LE(500)).toBe(2049n);
  expect(placed.readUInt16LE(508)).toBe(2);
  expect(placed.readUInt16LE(510)).toBe(0x820);
  expect(() => placeCore(Buffer.alloc(100), 2048n)).toThrow(/100 bytes/);
});

test('boot code replaces the first 440 bytes only', () => {
  const placed = placeBootCode(mbr, bootImage, 2048n);
  expect(placed.readBigUInt64LE(0x5c)).toBe(2048n);
  expect(placed.subarray(0x64, 0x68)).toEqual(Buffer.from([0xff, 0x22, 0x90, 0x90]));
  expect(placed.subarray(440)).toEqual(mbr.subarray(440));
  expect(placed.subarray(0, 0x5c)).toEqual(bootImage.subarray(0, 0x5c));
});

test('an unfinished installation is known by its boot code until the real one is written', () => {
  const begun = placeUnfinishedCode(mbr);
  expect(isUnfinished(begun)).toBe(true);
  expect(begun.subarray(440, 510)).toEqual(mbr.subarray(440, 510));
  expect(begun.subarray(510)).toEqual(Buffer.from([0x55, 0xaa]));
  expect(isUnfinished(placeBootCode(begun, bootImage, 2048n))).toBe(false);
  expect(isUnfinished(Buffer.alloc(512))).toBe(false);
});
