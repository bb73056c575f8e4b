import type { Role } from '../api/queries.ts';
import { text } from '../i18n/text.ts';
import { SelectField } from './select-field.tsx';

const roles: readonly Role[] = ['viewer', 'operator', 'admin'];
const lifetimes = [7, 30, 90, 365];
const day = 86_400;

/** What a token may do and for how many days; empty: it does not expire. */
export type TokenChoice = { role: Role; days: string };
export const usualToken: TokenChoice = { role: 'operator', days: '90' };

/** The fields of a request. */
export const tokenFields = ({ role, days }: TokenChoice): { role: Role; ttlSeconds?: number } => ({
  role,
  ...(days === '' ? {} : { ttlSeconds: Number(days) * day }),
});

export function TokenFields({ value, onChange }: { value: TokenChoice; onChange: (value: TokenChoice) => void }) {
  return (
    <>
      <SelectField
        label={text.settings.role}
        pointer="/role"
        value={value.role}
        onChange={(role) => onChange({ ...value, role: role as Role })}
        options={roles.map((role) => ({ value: role, label: `${text.roles[role]}: ${text.roles[`${role}Hint`]}` }))}
      />
      <SelectField
        label={text.settings.tokenFor}
        value={value.days}
        onChange={(days) => onChange({ ...value, days })}
        options={[
          ...lifetimes.map((number) => ({ value: String(number), label: text.settings.days(number) })),
          { value: '', label: text.settings.tokenNever },
        ]}
      />
    </>
  );
}
