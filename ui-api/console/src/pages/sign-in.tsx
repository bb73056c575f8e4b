import { Button, Form } from '@patternfly/react-core';
import { useState } from 'react';
import { useNavigate, useSearchParams } from 'react-router';
import { client } from '../api/client.ts';
import { queryClient, sessionQuery, type Session } from '../api/queries.ts';
import { useSubmit } from '../hooks/use-submit.ts';
import { text } from '../i18n/text.ts';
import { TextField } from '../ui/field.tsx';
import { PasswordField } from '../ui/password-field.tsx';
import { ProblemAlert } from '../ui/problem-alert.tsx';
import { AuthFrame } from './auth-frame.tsx';

/** Only addresses of this console: a link must not lead elsewhere after sign-in. */
const safeNext = (next: string | null): string =>
  next?.startsWith('/') && !next.startsWith('//') && !next.includes('\\') ? next : '/';

export function SignInPage() {
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [search] = useSearchParams();
  const navigate = useNavigate();
  const { isPending, error, submit } = useSubmit(async () => {
    const { body } = await client.request<Session>('POST', '/v1/session', { body: { user, password } });
    queryClient.clear();
    queryClient.setQueryData(sessionQuery.queryKey, body);
    await navigate(safeNext(search.get('next')), { replace: true });
  });

  return (
    <AuthFrame title={text.signIn.title} subtitle={`${text.signIn.subtitle}: ${location.host}`}>
      <Form onSubmit={submit}>
        {error !== undefined && <ProblemAlert error={error} />}
        <TextField label={text.signIn.user} value={user} onChange={setUser} autoComplete="username" isRequired autoFocus />
        <PasswordField label={text.signIn.password} value={password} onChange={setPassword} autoComplete="current-password" />
        <Button
          type="submit"
          variant="primary"
          isBlock
          isLoading={isPending}
          isDisabled={isPending || user === '' || password === ''}
        >
          {text.signIn.submit}
        </Button>
      </Form>
      <p className="croft-quiet croft-small">{text.signIn.hint}</p>
    </AuthFrame>
  );
}
