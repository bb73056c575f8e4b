/**
 * All words of the console. Catalogues are typed after English, so a missing word doesn't compile. The pseudo-locale
 * (localStorage `croft.locale` = `pseudo`) makes every catalogued text recognisable and a third longer, for tests.
 */
import { en } from './en.ts';

type Widen<T> = T extends string
  ? string
  : T extends (...given: infer Given) => string
    ? (...given: Given) => string
    : { [Key in keyof T]: Widen<T[Key]> };

export type Catalogue = Widen<typeof en>;

const stretch = (value: string): string => `⟦${value}${'·'.repeat(Math.ceil(value.length / 3))}⟧`;

function pseudo<T>(catalogue: T): T {
  if (typeof catalogue === 'string') return stretch(catalogue) as T;
  if (typeof catalogue === 'function') {
    const make = catalogue as unknown as (...given: unknown[]) => string;
    return ((...given: unknown[]) => stretch(make(...given))) as T;
  }
  return Object.fromEntries(Object.entries(catalogue as object).map(([key, value]) => [key, pseudo(value)])) as T;
}

export const text: Catalogue = localStorage.getItem('croft.locale') === 'pseudo' ? pseudo<Catalogue>(en) : en;
