import { useEffect } from 'react';
import { text } from '../i18n/text.ts';

/** Title of the document; a change of it is how browsers and screen readers tell pages apart. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · ${text.product}`;
  }, [title]);
}
