import { FormSelect, FormSelectOption } from '@patternfly/react-core';
import { Field } from './field.tsx';

type Props = {
  label: string;
  pointer?: string;
  help?: string;
  isRequired?: boolean;
  value: string;
  onChange: (value: string) => void;
  options: readonly { value: string; label: string }[];
};

/** One of a few; the browser's own list, which every phone and screen reader knows. */
export function SelectField({ value, onChange, options, ...group }: Props) {
  return (
    <Field {...group}>
      {({ id, validated }) => (
        <FormSelect
          id={id}
          value={value}
          validated={validated}
          onChange={(_event, next) => onChange(next)}
          aria-label={group.label}
        >
          {options.map((option) => (
            <FormSelectOption key={option.value} value={option.value} label={option.label} />
          ))}
        </FormSelect>
      )}
    </Field>
  );
}
