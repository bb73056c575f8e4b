/** Form fields that know the API's complaint about them. */
import { FormGroup, FormHelperText, HelperText, HelperTextItem, TextArea, TextInput } from '@patternfly/react-core';
import { createContext, useContext, useId, type ReactNode } from 'react';
import { showProblem } from '../api/problem.ts';

/** Complaints by JSON pointer of the field. */
export const FieldErrors = createContext<Record<string, string>>({});
export const fieldsOf = (error: unknown): Record<string, string> => (error === undefined ? {} : showProblem(error).fields);

type GroupProps = {
  label: string;
  /** JSON pointer in the request; complaints below it count too. */
  pointer?: string;
  help?: ReactNode;
  error?: string | undefined;
  isRequired?: boolean;
  children: (props: { id: string; describedBy: string; validated: 'default' | 'error' }) => ReactNode;
};

export function Field({ label, pointer, help, error, isRequired, children }: GroupProps) {
  const id = useId();
  const errors = useContext(FieldErrors);
  const told =
    pointer === undefined
      ? undefined
      : Object.entries(errors).find(([at]) => at === pointer || at.startsWith(`${pointer}/`))?.[1];
  const complaint = error ?? told;
  const shown = complaint ?? help;
  return (
    <FormGroup label={label} fieldId={id} isRequired={isRequired ?? false}>
      {children({ id, describedBy: `${id}-help`, validated: complaint ? 'error' : 'default' })}
      {shown && (
        <FormHelperText>
          <HelperText>
            <HelperTextItem id={`${id}-help`} variant={complaint ? 'error' : 'default'}>
              {shown}
            </HelperTextItem>
          </HelperText>
        </FormHelperText>
      )}
    </FormGroup>
  );
}

type TextProps = Omit<GroupProps, 'children'> & {
  value: string;
  onChange: (value: string) => void;
  type?: 'text' | 'password' | 'number' | 'url';
  autoComplete?: string;
  placeholder?: string;
  autoFocus?: boolean;
};

export function TextField({ value, onChange, type = 'text', autoComplete = 'off', placeholder, autoFocus, ...group }: TextProps) {
  return (
    <Field {...group}>
      {({ id, describedBy, validated }) => (
        <TextInput
          id={id}
          type={type}
          value={value}
          validated={validated}
          isRequired={group.isRequired ?? false}
          autoComplete={autoComplete}
          spellCheck={false}
          aria-describedby={describedBy}
          onChange={(_event, next) => onChange(next)}
          {...(placeholder ? { placeholder } : {})}
          {...(autoFocus ? { autoFocus: true } : {})}
        />
      )}
    </Field>
  );
}

export function LongTextField({
  value,
  onChange,
  placeholder,
  rows = 3,
  ...group
}: Omit<TextProps, 'type' | 'autoComplete'> & { rows?: number }) {
  return (
    <Field {...group}>
      {({ id, describedBy, validated }) => (
        <TextArea
          id={id}
          value={value}
          rows={rows}
          validated={validated}
          resizeOrientation="vertical"
          spellCheck={false}
          aria-describedby={describedBy}
          className="croft-code"
          onChange={(_event, next) => onChange(next)}
          {...(placeholder ? { placeholder } : {})}
        />
      )}
    </Field>
  );
}
