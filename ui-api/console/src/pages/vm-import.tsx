/** A machine from elsewhere on one screen: a file, what it holds, where its networks lead; its disks are sent meanwhile. */
import { Alert, Button, Checkbox, Form, Spinner } from '@patternfly/react-core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { useNavigate } from 'react-router';
import type { VmImport } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import { type Package, readPackage } from '../api/ova.ts';
import { networksQuery } from '../api/queries.ts';
import { startSending } from '../api/uploads.ts';
import { formatBytes } from '../format.ts';
import { notifyUpload } from '../forms/continue-upload.tsx';
import { isName } from '../forms/vm-create-model.ts';
import {
  emptyImport,
  importCommand,
  mapping,
  type ImportForm,
  type Report,
  type Wish,
  wishOf,
} from '../forms/vm-import-model.ts';
import { useRefusal } from '../hooks/use-role.ts';
import { useSettled } from '../hooks/use-settled.ts';
import { useSubmit } from '../hooks/use-submit.ts';
import { text } from '../i18n/text.ts';
import { ActionButton } from '../ui/action-button.tsx';
import { ChoiceTiles } from '../ui/choice-tiles.tsx';
import { FieldErrors, fieldsOf, TextField } from '../ui/field.tsx';
import { FileField } from '../ui/file-field.tsx';
import { PageFrame } from '../ui/page-frame.tsx';
import { ProblemAlert } from '../ui/problem-alert.tsx';
import { SelectField } from '../ui/select-field.tsx';
import { notify } from '../ui/toasts.tsx';
import { vmPath } from '../vm/state.ts';

type Answer = VmImport & { result?: VmImport };

async function plan(wish: Wish, signal: AbortSignal): Promise<Report> {
  const { body } = await client.request<Answer>('POST', '/v1/vms/import', { query: { dryRun: true }, body: wish, signal });
  return (body.result ?? body).report;
}

export function VmImportPage() {
  const [files, setFiles] = useState<readonly File[]>([]);
  const [form, setForm] = useState<ImportForm>(emptyImport);
  const [parcel, setParcel] = useState<Package>();
  const [broken, setBroken] = useState<unknown>();
  const { data: networks = [] } = useQuery(networksQuery);
  const known = useMemo(() => networks.map(({ name }) => name), [networks]);
  const [seen, setSeen] = useState<Report>();
  const refusal = useRefusal()('operator');
  const navigate = useNavigate();
  const set = (change: Partial<ImportForm>) => setForm((before) => ({ ...before, ...change }));

  async function choose(chosen: readonly File[]): Promise<void> {
    setFiles(chosen);
    setParcel(undefined);
    setBroken(undefined);
    setSeen(undefined);
    setForm(emptyImport);
    try {
      setParcel(await readPackage(chosen));
    } catch (error) {
      setBroken(error);
    }
  }

  const mapped = mapping(seen, form, known);
  const wish = parcel && wishOf(parcel, form, mapped);
  const settled = useSettled(wish === undefined ? '' : JSON.stringify(wish));
  const query = useQuery({
    queryKey: ['import', settled],
    queryFn: async ({ signal }) => {
      const report = await plan(JSON.parse(settled) as Wish, signal);
      setSeen(report);
      return report;
    },
    enabled: settled !== '',
    placeholderData: keepPreviousData,
    retry: false,
    gcTime: 0,
  });
  const report = query.error === null ? query.data : undefined;
  const missing = parcel && report?.disks.find(({ file }) => file !== undefined && !parcel.members.has(file))?.file;
  const nameError = form.name !== '' && !isName(form.name) ? text.create.nameBad : undefined;

  const { isPending, error, submit } = useSubmit(async () => {
    if (!wish || !parcel) return;
    const { body } = await client.request<VmImport>('POST', '/v1/vms/import', { body: wish });
    for (const { file, image } of body.uploads) {
      const member = parcel.members.get(file);
      if (member) startSending(image, member.file, { onFailure: notifyUpload }, member.part);
    }
    notify({ variant: 'info', title: text.import.begun(body.vm.name, body.uploads.length) });
    await navigate(vmPath(body.vm));
  });
  const isComplete = report !== undefined && !query.isPlaceholderData && missing === undefined && nameError === undefined;

  return (
    <PageFrame title={text.import.title} parent={{ to: '/vms', title: text.vms.title }}>
      <div className="croft-create">
        <FieldErrors value={fieldsOf(error ?? query.error ?? undefined)}>
          <Form onSubmit={submit} noValidate className="croft-create-form">
            {error !== undefined && <ProblemAlert error={error} />}
            <FileField
              label={text.import.file}
              help={text.import.fileHelp}
              isMany
              accept=".ova,.ovf,.mf,.vmdk,.qcow2,.img,.raw"
              files={files}
              onFiles={(chosen) => void choose(chosen)}
            />
            {broken !== undefined && <ProblemAlert error={broken} />}
            {parcel && (
              <>
                <TextField
                  label={text.import.name}
                  pointer="/name"
                  value={form.name}
                  onChange={(name) => set({ name })}
                  placeholder={seen?.name ?? ''}
                  help={text.create.nameHelp}
                  error={nameError}
                />
                <Networks
                  mapped={mapped}
                  known={known}
                  onChange={(networks) => set({ networks: { ...form.networks, ...networks } })}
                />
                <ChoiceTiles
                  legend={text.import.devices}
                  value={form.devices}
                  onChange={(devices) => set({ devices: devices as ImportForm['devices'] })}
                  choices={(['compatible', 'virtio'] as const).map((value) => ({
                    value,
                    title: text.import.deviceKinds[value],
                    detail: text.import.deviceDetails[value],
                  }))}
                />
                <Checkbox
                  id="keep-mac"
                  label={text.import.keepMac}
                  description={text.import.keepMacHelp}
                  isChecked={form.keepMac}
                  onChange={(_event, keepMac) => set({ keepMac })}
                />
                <Checkbox
                  id="start"
                  label={text.import.start}
                  isChecked={form.start}
                  onChange={(_event, start) => set({ start })}
                />
              </>
            )}
            <div className="croft-actions">
              <ActionButton
                type="submit"
                variant="primary"
                refusal={refusal}
                isLoading={isPending}
                isDisabled={isPending || !isComplete}
              >
                {text.import.submit}
              </ActionButton>
              <Button variant="link" onClick={() => void navigate('/vms')}>
                {text.common.cancel}
              </Button>
            </div>
          </Form>
        </FieldErrors>
        <section aria-labelledby="report" aria-live="polite" className="croft-same-as">
          <h2 id="report">{text.import.report}</h2>
          {query.error ? (
            <ProblemAlert error={query.error} />
          ) : report && parcel ? (
            <ReportView report={report} parcel={parcel} missing={missing} command={importCommand(parcel.title, form, mapped)} />
          ) : parcel ? (
            <Spinner size="md" aria-label={text.import.reading} />
          ) : (
            <p className="croft-quiet">{text.import.waiting}</p>
          )}
        </section>
      </div>
    </PageFrame>
  );
}

type NetworksProps = {
  mapped: Record<string, string>;
  known: readonly string[];
  onChange: (change: Record<string, string>) => void;
};

/** Each network of the package, and the one here that takes its place. */
function Networks({ mapped, known, onChange }: NetworksProps) {
  const foreign = Object.entries(mapped).filter(([name]) => name !== '*');
  if (foreign.length === 0) return null;
  return (
    <fieldset className="croft-tiles croft-stack">
      <legend>{text.import.networks}</legend>
      {foreign.map(([from, to]) => (
        <SelectField
          key={from}
          label={text.import.networkOf(from)}
          value={to}
          onChange={(value) => onChange({ [from]: value })}
          options={known.map((value) => ({ value, label: value }))}
        />
      ))}
    </fieldset>
  );
}

type ReportProps = { report: Report; parcel: Package; missing: string | undefined; command: string };

function ReportView({ report, parcel, missing, command }: ReportProps) {
  const { name, cpus, memory, firmware, disks, nics, notes } = report;
  const algorithms = [...new Set([...parcel.manifest.values()].map(({ algorithm }) => algorithm))];
  const sums = algorithms.includes('sha1')
    ? text.import.oldSums
    : algorithms.length > 0
      ? text.import.checked(algorithms.join(', ').toUpperCase())
      : text.import.unchecked;
  const lists: [title: string, lines: string[]][] = [
    [
      text.import.hardware,
      [text.vms.cpusMemory(cpus, formatBytes(memory)), text.vm.firmwareNames[firmware === 'efi' ? 'efi' : 'bios']],
    ],
    [
      text.import.diskTitle,
      disks.map((disk) => text.import.disk(disk.name, disk.file ?? text.import.blank, formatBytes(disk.capacity ?? disk.size))),
    ],
    [text.import.nicTitle, nics.map((nic) => text.import.nic(nic.name, nic.from, nic.network))],
    [text.import.notes, [...notes, sums]],
  ];
  return (
    <div className="croft-stack">
      <p className="croft-quiet">{text.import.reportHelp}</p>
      {missing !== undefined && <Alert variant="danger" isInline isPlain title={text.import.missing(missing)} />}
      <p>
        <strong>{name}</strong>
      </p>
      {lists
        .filter(([, lines]) => lines.length > 0)
        .map(([title, lines]) => (
          <div key={title}>
            <h3 className="croft-chart-title">{title}</h3>
            <ul className="croft-lines">
              {lines.map((line) => (
                <li key={line}>{line}</li>
              ))}
            </ul>
          </div>
        ))}
      <div>
        <h3 className="croft-chart-title">{text.create.sameAs}</h3>
        <pre className="croft-command">{command}</pre>
      </div>
    </div>
  );
}
