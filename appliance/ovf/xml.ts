/**
 * The part of XML that OVF descriptors are written in: elements, attributes, text. No document types, so no entities of
 * the file's own; nothing is ever fetched; depth and count are bounded. Names lose their namespace prefix.
 */
import { CroftError } from '../errors.ts';

export type XmlElement = { name: string; attributes: Record<string, string>; children: XmlElement[]; text: string };

const maxDepth = 64;
const maxElements = 100_000;

const refuse = (why: string): CroftError => new CroftError('invalid-input', `The OVF descriptor is not usable: ${why}.`);
const local = (name: string): string => name.slice(name.indexOf(':') + 1);
const named: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

function unescape(text: string): string {
  return text.replace(/&(#x[0-9a-fA-F]{1,6}|#\d{1,7}|\w{1,8});/g, (whole, reference: string) => {
    if (!reference.startsWith('#')) {
      const found = named[reference];
      if (found === undefined) throw refuse(`it has the entity ${whole}`);
      return found;
    }
    const code = reference.startsWith('#x') ? Number.parseInt(reference.slice(2), 16) : Number(reference.slice(1));
    return code <= 0x10ffff ? String.fromCodePoint(code) : '';
  });
}

/** One piece of markup or the text up to the next. */
const token =
  /<!--[^]*?-->|<!\[CDATA\[([^]*?)\]\]>|<\?[^]*?\?>|<!|<\/([\w:.-]+)\s*>|<([\w:.-]+)((?:\s+[\w:.-]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*(\/?)>|([^<]+)/y;
const attribute = /([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;

/** The root element. @throws CroftError `invalid-input` */
export function parseXml(source: string): XmlElement {
  const root: XmlElement = { name: '', attributes: {}, children: [], text: '' };
  const open = [root];
  let count = 0;
  token.lastIndex = 0;
  const input = source.replace(/^\uFEFF/, '');
  while (token.lastIndex < input.length) {
    const at = token.lastIndex;
    const found = token.exec(input);
    if (!found) throw refuse(`the XML is broken at character ${at}`);
    const [whole, cdata, closing, opening, attributes = '', single, text] = found;
    const top = open.at(-1) as XmlElement;
    if (whole === '<!') throw refuse('it has a document type, which Croft does not read');
    if (cdata !== undefined) top.text += cdata;
    else if (text !== undefined) top.text += unescape(text);
    else if (closing !== undefined) {
      if (open.length === 1 || top.name !== local(closing)) throw refuse(`</${closing}> at character ${at} closes nothing`);
      open.pop();
    } else if (opening !== undefined) {
      if (++count > maxElements) throw refuse(`it has more than ${maxElements} elements`);
      const element: XmlElement = { name: local(opening), attributes: attributesOf(attributes), children: [], text: '' };
      top.children.push(element);
      if (!single) open.push(element);
      if (open.length > maxDepth) throw refuse(`it is nested deeper than ${maxDepth}`);
    }
  }
  if (open.length > 1) throw refuse(`<${open.at(-1)?.name}> is not closed`);
  const [only, ...more] = root.children;
  if (!only || more.length > 0) throw refuse('it has no single root element');
  return only;
}

function attributesOf(text: string): Record<string, string> {
  const found: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [, name = '', double, single] of text.matchAll(attribute)) found[local(name)] = unescape(double ?? single ?? '');
  return found;
}

export const childrenOf = (element: XmlElement | undefined, name: string): XmlElement[] =>
  element?.children.filter((child) => child.name === name) ?? [];

export const childOf = (element: XmlElement | undefined, name: string): XmlElement | undefined => childrenOf(element, name)[0];

/** Text of a child element, trimmed; undefined when it is absent or empty. */
export const textOf = (element: XmlElement | undefined, name: string): string | undefined =>
  childOf(element, name)?.text.trim() || undefined;

/** All elements of a name, however deep. */
export const allNamed = (element: XmlElement, name: string): XmlElement[] => [
  ...(element.name === name ? [element] : []),
  ...element.children.flatMap((child) => allNamed(child, name)),
];
