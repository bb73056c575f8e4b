import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  exactValueOf,
  labelKeyFault,
  labelValueFault,
  matchesFields,
  matchesLabels,
  parseFieldSelector,
  parseLabelSelector,
} from '../../../appliance/store/selectors.ts';

const labels = { app: 'web', tier: 'front', 'croft.io/id': 'a', size: '12', empty: '' };
const matches = (text: string) => matchesLabels(parseLabelSelector(text), labels);

describe('label selectors', () => {
  it.each([
    ['', true],
    ['app=web', true],
    ['app==web', true],
    [' app = web , tier = front ', true],
    ['app=db', false],
    ['app!=db', true],
    ['missing!=db', true],
    ['app!=web', false],
    ['app in (web,db)', true],
    ['app in(db)', false],
    ['app notin (db)', true],
    ['missing notin (x)', true],
    ['missing in (x)', false],
    ['app', true],
    ['missing', false],
    ['!missing', true],
    ['! app', false],
    ['croft.io/id in (a,b),!gone', true],
    ['size>11', true],
    ['size<12', false],
    ['app>1', false],
    ['empty=', true],
    ['empty=,app=web', true],
    ['app in (,web)', true],
    ['toString', false],
  ])('%j matches: %s', (text, expected) => expect(matches(text)).toBe(expected));

  it.each([
    ['=a', 'where a label key should stand'],
    ['a=b=c', 'where a comma should stand'],
    ['a in b', 'round brackets'],
    ['a in (b', 'not closed'],
    ['a,', 'ends where a label key'],
    ['a=b,,c', 'where a label key'],
    ['a>x', 'not a whole number'],
    ['-a', 'label key "-a"'],
    ['a=-', 'value "-"'],
    ['a b', '"b" where =, !='],
  ])('refuses %j', (text, told) => expect(() => parseLabelSelector(text)).toThrow(told));

  it('selects an object by all of its own labels, whatever they are', () => {
    const key = fc
      .stringMatching(/^[a-z]([-a-z0-9_.]{0,8}[a-z0-9])?$/)
      .filter((one) => !labelKeyFault(one) && one !== 'in' && one !== 'notin');
    const value = fc
      .stringMatching(/^[a-z0-9]([-a-z0-9_.]{0,8}[a-z0-9])?$/)
      .filter((one) => !labelValueFault(one) && one !== 'in' && one !== 'notin');
    fc.assert(
      fc.property(fc.dictionary(key, value, { minKeys: 1 }), (own) => {
        const text = Object.entries(own)
          .map(([name, content]) => `${name}=${content}`)
          .join(',');
        expect(matchesLabels(parseLabelSelector(text), own)).toBe(true);
        expect(matchesLabels(parseLabelSelector(text), {})).toBe(false);
      }),
    );
  });

  it('throws nothing but its own errors on any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', '=', '!', '(', ')', ',', ' ', 'in', '<', '/') }), (text) => {
        try {
          parseLabelSelector(text);
        } catch (error) {
          expect((error as { code?: string }).code).toBe('invalid-input');
        }
      }),
    );
  });

  it('knows the one value that must be', () => {
    expect(exactValueOf(parseLabelSelector('a=b,c in (d),e in (f,g)'), 'a')).toBe('b');
    expect(exactValueOf(parseLabelSelector('a=b,c in (d),e in (f,g)'), 'e')).toBeUndefined();
    expect(exactValueOf(parseLabelSelector('a!=b'), 'a')).toBeUndefined();
  });
});

describe('field selectors', () => {
  it('match name and namespace', () => {
    const web = { name: 'web', namespace: 'default' };
    expect(matchesFields(parseFieldSelector('metadata.name=web,metadata.namespace!=other'), web)).toBe(true);
    expect(matchesFields(parseFieldSelector('metadata.name!=web'), web)).toBe(false);
    expect(matchesFields(parseFieldSelector('metadata.namespace=='), { name: 'net' })).toBe(true);
  });
  it('refuse other fields by name', () => {
    expect(() => parseFieldSelector('status.phase=Ready')).toThrow('status.phase');
    expect(() => parseFieldSelector('nonsense')).toThrow('field=value');
  });
});
