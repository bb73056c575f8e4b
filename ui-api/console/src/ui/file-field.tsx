import { useId, useState, type DragEvent } from 'react';
import { formatBytes } from '../format.ts';
import { text } from '../i18n/text.ts';

type Props = {
  label: string;
  help: string;
  error?: string | undefined;
  files: readonly File[];
  /** There is another way beside a file. */
  isOptional?: boolean;
  /** More than one may be chosen. */
  isMany?: boolean;
  accept?: string;
  onFiles: (files: readonly File[]) => void;
};

/** Files of the person's own machine: chosen by the browser's own field, or dropped on it. */
export function FileField({ label, help, error, files, isOptional = false, isMany = false, accept, onFiles }: Props) {
  const [isOver, setOver] = useState(false);
  const id = useId();
  const take = (all: readonly File[]) => onFiles(isMany ? all : all.slice(0, 1));
  return (
    <div
      className={`croft-drop${isOver ? ' croft-drop-over' : ''}`}
      onDragOver={(event) => (event.preventDefault(), setOver(true))}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => (setOver(false), takeFiles(event, take))}
    >
      <label htmlFor={id}>
        {label}
        {!isOptional && (
          <span className="croft-required" aria-hidden="true">
            {' *'}
          </span>
        )}
      </label>
      <input
        id={id}
        type="file"
        required={!isOptional}
        multiple={isMany}
        {...(accept ? { accept } : {})}
        aria-describedby={`${id}-help`}
        aria-invalid={error !== undefined}
        onChange={({ target }) => target.files && target.files.length > 0 && take([...target.files])}
      />
      <div id={`${id}-help`} className={error ? 'croft-field-error' : 'croft-field-help'}>
        {error ?? (files.map(({ name, size }) => text.common.fileChosen(name, formatBytes(size))).join('; ') || help)}
      </div>
    </div>
  );
}

/** Hands on the files that were dropped; anything else that is dropped stays the browser's. */
export function takeFiles(event: DragEvent, onFiles: (files: readonly File[]) => void): void {
  const files = [...event.dataTransfer.files];
  if (files.length === 0) return;
  event.preventDefault();
  event.stopPropagation();
  onFiles(files);
}
