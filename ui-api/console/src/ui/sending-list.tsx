import { Button, Progress } from '@patternfly/react-core';
import { useId } from 'react';
import { stopSending, useSendings } from '../api/uploads.ts';
import { formatBytes } from '../format.ts';
import { text } from '../i18n/text.ts';

/** Files on their way from this page to the box (`of`: only these); nothing where there are none. */
export function SendingList({ of = () => true }: { of?: (image: string) => boolean }) {
  const id = useId();
  const sendings = useSendings().filter(({ image }) => of(image));
  if (sendings.length === 0) return null;
  return (
    <section aria-labelledby={id} className="croft-sendings">
      <h3 id={id}>{text.sendings.title}</h3>
      <ul>
        {sendings.map(({ image, done, total, isWaiting }) => (
          <li key={image}>
            <Progress
              value={total > 0 ? Math.round((done / total) * 100) : 100}
              size="sm"
              title={image}
              aria-label={image}
              helperText={isWaiting ? text.sendings.waits : text.images.sending(formatBytes(done), formatBytes(total))}
            />
            <Button variant="link" isInline aria-label={text.sendings.stop(image)} onClick={() => stopSending(image)}>
              {text.images.stopSending}
            </Button>
          </li>
        ))}
      </ul>
    </section>
  );
}
