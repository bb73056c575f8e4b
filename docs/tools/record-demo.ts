/**
 * Records `croft demo` from a real run: docs/images/demo.svg (a terminal that fills line by line) and the
 * transcript in README.md between its `demo` marks. `node docs/tools/record-demo.ts`, as root.
 *
 * Pauses longer than 1.2 s are shortened in the recording; how long the run really took stands in its last line.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { run } from '../../appliance/host/exec.ts';

/** A line as printed, with ANSI styles, and ms since the line before. */
type Line = { text: string; pause: number };

const home = join(import.meta.dirname, '../..');
const longestPause = 1_200;
const shortestPause = 60;
const [fontSize, lineHeight, columns, margin, bar] = [13, 18, 100, 18, 34];
const colours = { text: '#d5dae1', dim: '#8b949e', bold: '#ffffff', green: '#56d364', red: '#ff7b72', cyan: '#79c0ff' };
const styles: Record<string, string> = { 1: 'b', 2: 'd', 31: 'r', 32: 'g', 36: 'c' };

const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** A line's ANSI styles as tspans; only the pairs that demo/screen.ts uses, which never nest. */
function spans(text: string): string {
  return text.split(/\x1b\[(\d+)m/).reduce((svg, part, index, parts) => {
    if (index % 2 === 1 || part === '') return svg;
    const style = styles[parts[index - 1] ?? ''];
    return svg + (style ? `<tspan class="${style}">${escape(part)}</tspan>` : escape(part));
  }, '');
}

/** A line is visible but while its animation runs: where nothing is animated, all of it is there. */
function toSvg(lines: readonly Line[]): string {
  const width = Math.round(columns * fontSize * 0.602) + 2 * margin;
  const height = bar + lines.length * lineHeight + margin;
  let at = 0;
  const rows = lines.map(({ text, pause }, index) => {
    at += Math.min(Math.max(pause, shortestPause), longestPause);
    const y = bar + (index + 1) * lineHeight - 4;
    return `<text x="${margin}" y="${y}" style="animation-duration:${(at / 1_000).toFixed(2)}s">${spans(text)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Recording of croft demo">`,
    '<style>',
    `text{font:${fontSize}px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;fill:${colours.text};white-space:pre;animation:wait}`,
    '@keyframes wait{from,to{opacity:0}}',
    '@media (prefers-reduced-motion:reduce){text{animation:none}}',
    `.b{fill:${colours.bold};font-weight:600}.d{fill:${colours.dim}}.g{fill:${colours.green}}.r{fill:${colours.red}}.c{fill:${colours.cyan}}`,
    '</style>',
    `<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>`,
    ...['#ff5f57', '#febc2e', '#28c840'].map(
      (fill, index) => `<circle cx="${margin + index * 18}" cy="${bar / 2}" r="5.5" fill="${fill}"/>`,
    ),
    ...rows,
    '</svg>',
    '',
  ].join('\n');
}

async function record(): Promise<Line[]> {
  const lines: Line[] = [{ text: '\x1b[2m$\x1b[22m \x1b[36mnpm run demo\x1b[39m', pause: 0 }];
  let last = performance.now();
  const onLine = (text: string): void => {
    const now = performance.now();
    // run() drops most empty lines: each chapter gets its own again.
    if (text === '') return;
    if (/^\S*\d+\. |^Done in/.test(stripVTControlCharacters(text))) lines.push({ text: '', pause: 0 });
    lines.push({ text, pause: now - last });
    last = now;
  };
  const argv = [process.execPath, join(home, 'appliance/main.ts'), 'demo'] as const;
  await run([...argv], { env: { FORCE_COLOR: '1' }, timeout: 600_000, onLine });
  return lines;
}

const lines = await record();
await writeFile(join(home, 'docs/images/demo.svg'), toSvg(lines));
const readme = join(home, 'README.md');
const transcript = lines.map(({ text }) => stripVTControlCharacters(text).trimEnd()).join('\n');
const marked = /(<!-- demo: docs\/tools\/record-demo\.ts -->\n```text\n)[\s\S]*?(```\n<!-- \/demo -->)/;
const text = await readFile(readme, 'utf8');
if (!marked.test(text)) throw new Error('README.md has no marks <!-- demo: … --> for the transcript.');
await writeFile(
  readme,
  text.replace(marked, (_, before: string, after: string) => `${before}${transcript}\n${after}`),
);
