/** Chromium for the tests: in the site's network namespace where it has one, and strict about errors on its pages. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';

export const browserProgram = process.env.CROFT_CHROMIUM ?? '/usr/bin/chromium';
const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export type TestBrowser = { browser: Browser; close(): Promise<void> };

const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

export async function startBrowser(launcher: readonly string[] = []): Promise<TestBrowser> {
  const home = await mkdtemp(join(tmpdir(), 'croft-browser-'));
  try {
    let executablePath = browserProgram;
    if (launcher.length > 0) {
      executablePath = join(home, 'chromium');
      await writeFile(executablePath, `#!/bin/sh\nexec ${[...launcher, browserProgram].map(quote).join(' ')} "$@"\n`);
      await chmod(executablePath, 0o755);
    }
    const browser = await chromium.launch({ executablePath, headless: true, args: flags });
    return {
      browser,
      close: async () => {
        await browser.close();
        await rm(home, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    throw error;
  }
}

/** Collects what must never happen on a journey: errors on the browser's console, failed requests, answers ≥ 400. */
export function watchErrors(page: Page): { errors: string[]; expect(pattern: RegExp): void } {
  const errors: string[] = [];
  const expected: RegExp[] = [];
  const add = (message: string) => {
    if (!expected.some((pattern) => pattern.test(message))) errors.push(message);
  };
  page.on('console', (message) => {
    // The browser repeats each failed answer on its console; that is told below with its address.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) add(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => add(`page: ${error.message}`));
  page.on('requestfailed', (request) => {
    const reason = request.failure()?.errorText ?? '';
    // Leaving a page ends its requests.
    if (reason !== 'net::ERR_ABORTED') add(`request: ${request.method()} ${request.url()} ${reason}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) add(`answer: ${response.status()} ${response.request().method()} ${response.url()}`);
  });
  return { errors, expect: (pattern) => void expected.push(pattern) };
}

export const password = 'correct horse battery';

/** First run: the set-up link, a password, the dashboard. */
export async function setUp(page: Page, setupUrl: string): Promise<void> {
  await page.goto(setupUrl);
  await page.getByLabel(/^Password/).fill(password);
  await page.getByRole('button', { name: 'Set password and continue' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
}

export async function signIn(page: Page, url: string, next = '/'): Promise<void> {
  await page.goto(new URL(`/signin?next=${encodeURIComponent(next)}`, url).href);
  await page.getByLabel(/^User/).fill('admin');
  await page.getByLabel(/^Password/).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(new URL(next, url).href);
}

export async function setTheme(context: BrowserContext, theme: 'light' | 'dark'): Promise<void> {
  await context.addInitScript((value) => localStorage.setItem('croft.theme', value), theme);
}
