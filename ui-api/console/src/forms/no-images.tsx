import CompactDiscIcon from '@patternfly/react-icons/dist/esm/icons/compact-disc-icon';
import { useState } from 'react';
import { Link } from 'react-router';
import { client } from '../api/client.ts';
import { useRefusal } from '../hooks/use-role.ts';
import { text } from '../i18n/text.ts';
import { ActionButton } from '../ui/action-button.tsx';
import { Empty } from '../ui/empty.tsx';
import { notifyProblem } from '../ui/toasts.tsx';

/** Without an image there is nothing to start: the way to one, at once. */
export function NoImages() {
  const [isPending, setPending] = useState(false);
  const refusal = useRefusal()('operator');
  const build = () => {
    setPending(true);
    client.images.create({ name: 'tiny', source: { build: 'tiny' } }).catch((error: unknown) => {
      setPending(false);
      notifyProblem(text.create.addTiny, error);
    });
  };
  return (
    <Empty
      title={text.create.noImages}
      icon={CompactDiscIcon}
      actions={
        <>
          <ActionButton variant="primary" refusal={refusal} isLoading={isPending} isDisabled={isPending} onClick={build}>
            {text.create.addTiny}
          </ActionButton>
          <Link to="/images">{text.create.addImage}</Link>
        </>
      }
    >
      {text.create.noImagesDetail}
    </Empty>
  );
}
