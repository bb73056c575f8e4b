import { useId, type ReactNode } from 'react';
import { Legend } from './legend.tsx';

export type Choice = { value: string; title: string; detail?: ReactNode /** `detail` says why. */; isDisabled?: boolean };

type Props = {
  legend: string;
  help?: ReactNode;
  error?: string | undefined;
  isRequired?: boolean;
  value: string;
  onChange: (value: string) => void;
  choices: readonly Choice[];
};

/** Radio buttons as tiles: every choice with what it means, arrow keys as with any radio group. */
export function ChoiceTiles({ legend, help, error, isRequired, value, onChange, choices }: Props) {
  const id = useId();
  return (
    <fieldset className="croft-tiles" aria-describedby={`${id}-help`}>
      <Legend isRequired={isRequired}>{legend}</Legend>
      <div className="croft-tile-grid">
        {choices.map((choice) => (
          <label key={choice.value} className={`croft-tile${choice.isDisabled ? ' croft-tile-off' : ''}`}>
            <input
              type="radio"
              name={id}
              value={choice.value}
              checked={value === choice.value}
              required={isRequired}
              disabled={choice.isDisabled ?? false}
              onChange={() => onChange(choice.value)}
            />
            <span className="croft-tile-title">{choice.title}</span>
            {choice.detail && <span className="croft-tile-detail">{choice.detail}</span>}
          </label>
        ))}
      </div>
      <div id={`${id}-help`} className={error ? 'croft-field-error' : 'croft-field-help'}>
        {error ?? help}
      </div>
    </fieldset>
  );
}
