import { useId, useState, type DragEvent } from 'react';
import { formatBytes } from '../format.ts';
import { text } from '../i18n/text.ts';

type Props = { label: string; help: string; error?: string | undefined; file: File | undefined; onFile: (file: File) => void };

/** A file of the person's own machine: chosen by the browser's own field, or dropped on it. */
export function FileField({ label, help, error, file, onFile }: Props) {
  const [isOver, setOver] = useState(false);
  const id = useId();
  return (
    <div
      className={`croft-drop${isOver ? ' croft-drop-over' : ''}`}
      onDragOver={(event) => (event.preventDefault(), setOver(true))}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => (setOver(false), takeFile(event, onFile))}
    >
      <label htmlFor={id}>
        {label}
        <span className="croft-required" aria-hidden="true">
          {' *'}
        </span>
      </label>
      <input
        id={id}
        type="file"
        required
        aria-describedby={`${id}-help`}
        aria-invalid={error !== undefined}
        onChange={({ target }) => target.files?.[0] && onFile(target.files[0])}
      />
      <div id={`${id}-help`} className={error ? 'croft-field-error' : 'croft-field-help'}>
        {error ?? (file ? text.common.fileChosen(file.name, formatBytes(file.size)) : help)}
      </div>
    </div>
  );
}

/** Hands on the first file that was dropped; anything else that is dropped stays the browser's. */
export function takeFile(event: DragEvent, onFile: (file: File) => void): void {
  const [file] = event.dataTransfer.files;
  if (!file) return;
  event.preventDefault();
  event.stopPropagation();
  onFile(file);
}
