/** axe's word on a page, as lines that say what is wrong where. */
import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from 'playwright-core';

const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

export async function violations(page: Page): Promise<string[]> {
  const builder = new AxeBuilder({ page }).withTags(tags);
  const { violations: found } = await builder.analyze();
  return found.flatMap(({ id, help, nodes }) =>
    nodes.map(
      (node) => `${id}: ${help}: ${node.html.slice(0, 200)} ${node.failureSummary?.split('\n').slice(1).join(' ') ?? ''}`,
    ),
  );
}
