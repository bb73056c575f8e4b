import { useState } from 'react';
import { isSameFile, partOf, startSending } from '../api/uploads.ts';
import { text } from '../i18n/text.ts';
import { Dialog } from '../ui/dialog.tsx';
import { FileField } from '../ui/file-field.tsx';
import { notifyProblem } from '../ui/toasts.tsx';

/** The rest of a file, after the page that sent it was closed. */
export function ContinueUpload({ image, onClose }: { image: string; onClose: () => void }) {
  const [file, setFile] = useState<File>();
  const isOther = file !== undefined && !isSameFile(image, file);
  const send = async () => {
    if (file) startSending(image, file, { onFailure: notifyUpload }, partOf(image));
  };
  return (
    <Dialog
      title={text.images.continueTitle(image)}
      submit={text.images.continueSubmit}
      isDisabled={file === undefined || isOther}
      onSubmit={send}
      onClose={onClose}
    >
      <FileField
        label={text.images.upload}
        help={text.images.continueHelp}
        error={isOther ? text.images.otherFile : undefined}
        files={file ? [file] : []}
        onFiles={([chosen]) => setFile(chosen)}
      />
    </Dialog>
  );
}

export const notifyUpload = (image: string, error: unknown): void => notifyProblem(text.images.uploadFailed(image), error);
