/** One screen, three required fields; it ends in the console of the booting machine. */
import { Alert, Button, Form, Spinner } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useMemo, useRef, useState } from 'react';
import { Link, useNavigate, useSearchParams } from 'react-router';
import type { Image, InstanceType, Vm } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import { imagesQuery, networksQuery, nodeQuery, queryClient, sizesQuery, vmQuery, vmsQuery } from '../api/queries.ts';
import { formatBytes, parseSize } from '../format.ts';
import { AddImage } from '../forms/add-image.tsx';
import { MoreOptions } from '../forms/vm-more-options.tsx';
import {
  bySize,
  customSize,
  emptyVmForm,
  firstSize,
  freeName,
  isName,
  requestOf,
  sameAs,
  type VmForm,
} from '../forms/vm-create-model.ts';
import { NoImages } from '../forms/no-images.tsx';
import { useRefusal } from '../hooks/use-role.ts';
import { useSubmit } from '../hooks/use-submit.ts';
import { text } from '../i18n/text.ts';
import { ActionButton } from '../ui/action-button.tsx';
import { ChoiceTiles } from '../ui/choice-tiles.tsx';
import { FieldErrors, fieldsOf, TextField } from '../ui/field.tsx';
import { PageFrame } from '../ui/page-frame.tsx';
import { ProblemAlert } from '../ui/problem-alert.tsx';
import { SameAs } from '../ui/same-as.tsx';
import { SelectField } from '../ui/select-field.tsx';
import { stateWord } from '../ui/state-label.tsx';
import { vmPath } from '../vm/state.ts';

export function VmCreatePage() {
  const vms = useQuery(vmsQuery);
  const images = useQuery(imagesQuery);
  const sizes = useQuery(sizesQuery);
  const title = text.create.title;
  const parent = { to: '/vms', title: text.vms.title };
  const failed = [vms, images, sizes].find((query) => query.isError);
  if (failed)
    return (
      <PageFrame title={title} parent={parent}>
        <ProblemAlert error={failed.error} />
      </PageFrame>
    );
  if (!vms.data || !images.data || !sizes.data)
    return (
      <PageFrame title={title} parent={parent}>
        <Spinner aria-label={text.common.loading} />
      </PageFrame>
    );
  return (
    <PageFrame title={title} parent={parent}>
      {images.data.length === 0 ? <NoImages /> : <CreateForm vms={vms.data} images={images.data} sizes={bySize(sizes.data)} />}
    </PageFrame>
  );
}

/** Most VMs are made from what is ready; `?image=` comes from the images' page. */
const startImage = (images: readonly Image[], wished: string | null): string =>
  (images.find(({ name }) => name === wished) ?? images.find(({ state }) => state === 'ready') ?? images[0])?.name ?? '';

function CreateForm({ vms, images, sizes }: { vms: readonly Vm[]; images: readonly Image[]; sizes: readonly InstanceType[] }) {
  const [search] = useSearchParams();
  const [form, setForm] = useState<VmForm>(() => ({
    ...emptyVmForm,
    name: freeName(vms.map(({ name }) => name)),
    image: startImage(images, search.get('image')),
    size: firstSize(sizes),
  }));
  const [isAddingImage, setAddingImage] = useState(false);
  const attempt = useRef({ json: '', key: '' });
  const { data: networks = [] } = useQuery(networksQuery);
  const { data: node } = useQuery(nodeQuery);
  const refusal = useRefusal()('operator');
  const navigate = useNavigate();
  const set = (change: Partial<VmForm>) => setForm((before) => ({ ...before, ...change }));
  const texts = useMemo(() => sameAs(form, location.origin), [form]);

  const { isPending, error, submit } = useSubmit(async () => {
    const body = requestOf(form);
    const json = JSON.stringify(body);
    // The same wish sent twice (a double click, a lost answer) makes one VM.
    if (attempt.current.json !== json) attempt.current = { json, key: crypto.randomUUID() };
    const answer = await client.request<Vm>('POST', '/v1/vms', { body, headers: { 'idempotency-key': attempt.current.key } });
    queryClient.setQueryData(vmQuery(answer.body.name, answer.body.project).queryKey, answer.body);
    await navigate(vmPath(answer.body, form.start ? 'console' : 'overview'));
  });

  const memory = form.size === customSize ? parseSize(form.memory) : sizes.find(({ name }) => name === form.size)?.memory;
  const free = node?.memoryFree;
  const image = images.find(({ name }) => name === form.image);
  const nameError =
    form.name !== '' && !isName(form.name)
      ? text.create.nameBad
      : vms.some(({ name }) => name === form.name) && !isPending
        ? text.create.nameTaken
        : undefined;
  const isComplete = form.name !== '' && nameError === undefined && form.image !== '' && memory !== undefined;

  return (
    <div className="croft-create">
      <FieldErrors value={fieldsOf(error)}>
        <Form
          onSubmit={(event) => (isComplete ? submit(event) : event.preventDefault())}
          noValidate
          className="croft-create-form"
        >
          {error !== undefined && <ProblemAlert error={error} />}
          <TextField
            label={text.create.name}
            pointer="/name"
            isRequired
            value={form.name}
            onChange={(name) => set({ name })}
            help={text.create.nameHelp}
            error={nameError}
          />
          <ChoiceTiles
            legend={text.create.image}
            isRequired
            value={form.image}
            onChange={(value) => set({ image: value })}
            choices={images.map(({ name, size, state }) => ({
              value: name,
              title: name,
              detail: state === 'ready' ? formatBytes(size) : stateWord(state),
            }))}
            help={image && image.state !== 'ready' ? text.create.notReady(stateWord(image.state)) : undefined}
          />
          <div className="croft-actions croft-small">
            <ActionButton variant="link" isInline refusal={refusal} onClick={() => setAddingImage(true)}>
              {text.create.addImage}
            </ActionButton>
            <Link to="/vms/import">{text.import.offer}</Link>
          </div>
          <ChoiceTiles
            legend={text.create.size}
            isRequired
            value={form.size}
            onChange={(size) => set({ size })}
            choices={[
              ...sizes.map(({ name, cpus, memory: bytes }) => ({
                value: name,
                title: name,
                detail: text.vms.cpusMemory(cpus, formatBytes(bytes)),
              })),
              { value: customSize, title: text.create.custom, detail: text.create.customDetail },
            ]}
          />
          {form.size === customSize && (
            <div className="croft-two">
              <TextField
                label={text.create.cpus}
                pointer="/cpus"
                type="number"
                isRequired
                value={form.cpus}
                onChange={(cpus) => set({ cpus })}
              />
              <TextField
                label={text.create.memory}
                pointer="/memory"
                isRequired
                value={form.memory}
                onChange={(value) => set({ memory: value })}
                help={text.create.memoryHelp}
                error={parseSize(form.memory) === undefined ? text.create.memoryBad : undefined}
              />
            </div>
          )}
          <Capacity memory={memory} free={free} />
          <SelectField
            label={text.create.network}
            pointer="/network"
            value={form.network}
            onChange={(network) => set({ network })}
            options={networkOptions(networks)}
          />
          <MoreOptions form={form} set={set} />
          <div>
            <ActionButton
              type="submit"
              variant="primary"
              refusal={refusal}
              isLoading={isPending}
              isDisabled={isPending || !isComplete}
            >
              {form.start ? text.create.submit : text.create.submitStopped}
            </ActionButton>{' '}
            <Button variant="link" onClick={() => void navigate('/vms')}>
              {text.common.cancel}
            </Button>
          </div>
        </Form>
      </FieldErrors>
      <SameAs texts={texts} />
      {isAddingImage && <AddImage taken={images.map(({ name }) => name)} onClose={() => setAddingImage(false)} />}
    </div>
  );
}

/** The network `default` may be chosen before the list has come. */
function networkOptions(networks: readonly { name: string; vlan?: number }[]) {
  const known = networks.map(({ name, vlan }) => ({
    value: name,
    label: vlan === undefined ? name : `${name} (${text.networks.vlan} ${vlan})`,
  }));
  return known.some(({ value }) => value === 'default') ? known : [{ value: 'default', label: 'default' }, ...known];
}

function Capacity({ memory, free }: { memory: number | undefined; free: number | undefined }) {
  if (memory === undefined || free === undefined) return null;
  if (memory <= free)
    return <p className="croft-quiet croft-small">{text.create.fits(formatBytes(memory), formatBytes(free))}</p>;
  return <Alert variant="warning" isInline isPlain title={text.create.tooBig(formatBytes(memory), formatBytes(free))} />;
}
