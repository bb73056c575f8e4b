import { Checkbox, Progress } from '@patternfly/react-core';
import { useId, useState } from 'react';
import { sendPieces } from '../../../client/upload.ts';
import type { UpdateBody } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import { formatBytes } from '../format.ts';
import { text } from '../i18n/text.ts';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { FileField } from '../ui/file-field.tsx';

/** A bundle from this browser's machine, sent here, or from an address that the box fetches. */
export function UpdateBox({ onDone, onClose }: { onDone: () => void; onClose: () => void }) {
  const [file, setFile] = useState<File>();
  const [url, setUrl] = useState('');
  const [isRestarting, setRestarting] = useState(false);
  const [sent, setSent] = useState<{ done: number; total: number }>();
  const id = useId();
  async function begin(): Promise<void> {
    if (file) {
      const read = async (offset: number, length: number) =>
        new Uint8Array(await file.slice(offset, offset + length).arrayBuffer());
      const progress = (done: number, total: number): void => setSent({ done, total });
      await sendPieces(client, '/v1/node/update/upload', { size: file.size, read }, { progress });
    }
    const source: UpdateBody = file ? { upload: true } : { url };
    await client.request('POST', '/v1/node/update', { body: { ...source, ...(isRestarting ? { restart: true } : {}) } });
    onDone();
  }
  return (
    <Dialog
      title={text.updates.updateTitle}
      description={text.updates.how}
      submit={text.updates.submit}
      width="medium"
      isDisabled={(file === undefined) === (url.trim() === '')}
      onSubmit={begin}
      onClose={onClose}
    >
      <FileField
        label={text.updates.file}
        help={text.updates.fileHelp}
        isOptional
        files={file ? [file] : []}
        onFiles={([chosen]) => setFile(chosen)}
      />
      {sent && (
        <Progress
          value={Math.round((sent.done / sent.total) * 100)}
          size="sm"
          title={text.updates.sent(formatBytes(sent.done), formatBytes(sent.total))}
          aria-label={text.updates.file}
        />
      )}
      <TextField label={text.updates.url} pointer="/url" help={text.updates.urlHelp} value={url} onChange={setUrl} />
      <Checkbox
        id={id}
        label={text.updates.restartToo}
        description={text.updates.restartHelp}
        isChecked={isRestarting}
        onChange={(_event, checked) => setRestarting(checked)}
      />
    </Dialog>
  );
}
