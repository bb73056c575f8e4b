/** Processors, memory and when to run. Saved against the version that was read: nobody's change is lost. */
import { Alert, Button, Card, CardBody, CardTitle, Form } from '@patternfly/react-core';
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState, type FormEvent } from 'react';
import type { Vm } from '../../../../client/types.ts';
import { ApiProblem } from '../../../../client/problem.ts';
import { client } from '../../api/client.ts';
import { vmQuery } from '../../api/queries.ts';
import { formatBytes, parseSize } from '../../format.ts';
import { useRefusal } from '../../hooks/use-role.ts';
import { text } from '../../i18n/text.ts';
import { ActionButton } from '../../ui/action-button.tsx';
import { FieldErrors, fieldsOf, TextField } from '../../ui/field.tsx';
import { ProblemAlert } from '../../ui/problem-alert.tsx';
import { SelectField } from '../../ui/select-field.tsx';
import { notify } from '../../ui/toasts.tsx';
import { useVmActions } from '../use-vm-actions.tsx';

type Strategy = Vm['runStrategy'];
const strategies = Object.keys(text.vmSettings.strategies) as Strategy[];
const memoryText = (bytes: number): string =>
  formatBytes(bytes)
    .replace(/ (.)iB$/, '$1i')
    .replace(' ', '');
const valuesOf = (vm: Vm) => ({ cpus: String(vm.cpus), memory: memoryText(vm.memory), runStrategy: vm.runStrategy });

type Values = ReturnType<typeof valuesOf>;
const fieldWords: Record<keyof Values, string> = {
  cpus: text.create.cpus,
  memory: text.create.memory,
  runStrategy: text.vmSettings.run,
};
const differences = (yours: Values, now: Values): string[] =>
  (Object.keys(fieldWords) as (keyof Values)[])
    .filter((field) => yours[field] !== now[field])
    .map((field) => text.vmSettings.staleField(fieldWords[field], yours[field], now[field]));

export function SettingsTab({ vm }: { vm: Vm }) {
  const queries = useQueryClient();
  const [values, setValues] = useState(() => valuesOf(vm));
  const [error, setError] = useState<unknown>();
  const [isPending, setPending] = useState(false);
  /** After a refused save: what was written and what is so now. */
  const [stale, setStale] = useState<string[]>();
  const etag = useRef<string>(undefined);
  const refusal = useRefusal()('operator');
  const { askDelete, dialogs } = useVmActions();

  /** Reads the version that the form is about to change. */
  async function readVersion(): Promise<Vm> {
    const { body, etag: read } = await client.request<Vm>('GET', `/v1/vms/${encodeURIComponent(vm.name)}`, {
      query: { project: vm.project },
    });
    etag.current = read;
    return body;
  }

  // Once per opened form: what is saved later is held against this version.
  useEffect(() => {
    readVersion().catch(setError);
  }, []);

  async function save(event: FormEvent): Promise<void> {
    event.preventDefault();
    setPending(true);
    setError(undefined);
    setStale(undefined);
    const { cpus, memory, runStrategy } = values;
    try {
      const patch = { cpus: Number(cpus), memory: parseSize(memory), runStrategy };
      const answer = await client.vms.patch(vm.name, patch, { project: vm.project }, etag.current);
      etag.current = answer.etag;
      queries.setQueryData(vmQuery(vm.name, vm.project).queryKey, answer.body);
      notify({ variant: 'success', title: text.vmSettings.saved });
    } catch (thrown) {
      if (thrown instanceof ApiProblem && thrown.status === 412) {
        const now = await readVersion().catch(() => vm);
        setValues(valuesOf(now));
        setStale(differences(values, valuesOf(now)));
      } else setError(thrown);
    } finally {
      setPending(false);
    }
  }

  const memoryError = parseSize(values.memory) === undefined ? text.create.memoryBad : undefined;
  return (
    <div className="croft-cards">
      <Card isCompact className="croft-card">
        <CardTitle component="h2">{text.vmSettings.resources}</CardTitle>
        <CardBody>
          <FieldErrors value={fieldsOf(error)}>
            <Form onSubmit={(event) => void save(event)} noValidate>
              {stale && (
                <Alert variant="warning" isInline title={text.vmSettings.stale}>
                  <p>{text.vmSettings.staleDetail}</p>
                  <ul>
                    {stale.map((line) => (
                      <li key={line}>{line}</li>
                    ))}
                  </ul>
                </Alert>
              )}
              {error !== undefined && <ProblemAlert error={error} />}
              <div className="croft-two">
                <TextField
                  label={text.create.cpus}
                  pointer="/cpus"
                  type="number"
                  value={values.cpus}
                  onChange={(cpus) => setValues({ ...values, cpus })}
                />
                <TextField
                  label={text.create.memory}
                  pointer="/memory"
                  value={values.memory}
                  onChange={(memory) => setValues({ ...values, memory })}
                  error={memoryError}
                />
              </div>
              <SelectField
                label={text.vmSettings.run}
                pointer="/runStrategy"
                value={values.runStrategy}
                onChange={(runStrategy) => setValues({ ...values, runStrategy: runStrategy as Strategy })}
                options={strategies.map((value) => ({ value, label: text.vmSettings.strategies[value] }))}
              />
              <p className="croft-quiet croft-small">{text.vmSettings.resourcesHelp}</p>
              <div>
                <ActionButton
                  type="submit"
                  variant="primary"
                  refusal={refusal}
                  isLoading={isPending}
                  isDisabled={isPending || memoryError !== undefined || Number(values.cpus) < 1}
                >
                  {text.common.save}
                </ActionButton>
              </div>
            </Form>
          </FieldErrors>
        </CardBody>
      </Card>
      <Card isCompact className="croft-card">
        <CardTitle component="h2">{text.vmSettings.danger}</CardTitle>
        <CardBody>
          <p className="croft-quiet">{text.vmSettings.dangerDetail}</p>
          <Button variant="danger" isDisabled={refusal !== undefined} onClick={() => askDelete([vm])}>
            {text.vmActions.delete}
          </Button>
        </CardBody>
      </Card>
      {dialogs}
    </div>
  );
}
