/** All that the box knows, as one encrypted file. */
import { Alert, Button, Card, CardBody, CardTitle, Form } from '@patternfly/react-core';
import { useState } from 'react';
import type { NodeBackup } from '../../../../client/types.ts';
import { client } from '../../api/client.ts';
import { fromBase64, saveFile } from '../../api/save-file.ts';
import { useSubmit } from '../../hooks/use-submit.ts';
import { text } from '../../i18n/text.ts';
import { FieldErrors, fieldsOf } from '../../ui/field.tsx';
import { PasswordField } from '../../ui/password-field.tsx';
import { ProblemAlert } from '../../ui/problem-alert.tsx';

/** Mirrors BackupBody of ui-api/schemas/objects.ts. */
const leastPassphrase = 12;

type Made = { file: string; objects: number; files: number };

export function BackupTab() {
  const [passphrase, setPassphrase] = useState('');
  const [again, setAgain] = useState('');
  const [made, setMade] = useState<Made>();
  const { isPending, error, submit } = useSubmit(async () => {
    setMade(undefined);
    const { body } = await client.request<NodeBackup>('POST', '/v1/node/backup', { body: { passphrase } });
    const file = `${location.hostname}-${body.createdAt.slice(0, 10)}.croft`;
    saveFile(file, fromBase64(body.file));
    setMade({ file, objects: body.objects, files: body.files });
    setPassphrase('');
    setAgain('');
  });
  const short = passphrase !== '' && passphrase.length < leastPassphrase ? text.backup.short(passphrase.length) : undefined;
  const differ = again !== '' && again !== passphrase ? text.backup.differ : undefined;
  return (
    <div className="croft-cards">
      <Card isCompact className="croft-card">
        <CardTitle component="h2">{text.backup.title}</CardTitle>
        <CardBody className="croft-stack">
          <p>{text.backup.what}</p>
          <p className="croft-quiet">{text.backup.not}</p>
          <FieldErrors value={fieldsOf(error)}>
            <Form onSubmit={submit} noValidate>
              {error !== undefined && <ProblemAlert error={error} />}
              {made && (
                <Alert variant="success" isInline title={text.backup.saved(made.file)}>
                  {text.backup.made(made.objects, made.files)}
                </Alert>
              )}
              <PasswordField
                label={text.backup.passphrase}
                pointer="/passphrase"
                value={passphrase}
                onChange={setPassphrase}
                autoComplete="new-password"
                help={short ?? text.backup.passphraseHelp}
              />
              <PasswordField
                label={text.backup.again}
                value={again}
                onChange={setAgain}
                autoComplete="new-password"
                error={differ}
              />
              <div>
                <Button
                  type="submit"
                  variant="primary"
                  isLoading={isPending}
                  isDisabled={isPending || passphrase.length < leastPassphrase || again !== passphrase}
                >
                  {text.backup.submit}
                </Button>
              </div>
            </Form>
          </FieldErrors>
        </CardBody>
      </Card>
      <Card isCompact className="croft-card">
        <CardTitle component="h2">{text.backup.restore}</CardTitle>
        <CardBody className="croft-stack">
          <p>{text.backup.restoreHelp}</p>
          <pre className="croft-command">croft node restore {made?.file ?? 'box.croft'}</pre>
          <p>{text.backup.timer}</p>
          <pre className="croft-command">croft node backup /mnt/usb/box.croft --passphrase-file /root/backup-passphrase</pre>
        </CardBody>
      </Card>
    </div>
  );
}
