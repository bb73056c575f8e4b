/** The one-time link: its token stands after the # (or as ?token=), so that no proxy or log sees it. */
import { Button, Form } from '@patternfly/react-core';
import { useEffect, useState } from 'react';
import { Link, useNavigate } from 'react-router';
import { client } from '../api/client.ts';
import { queryClient, sessionQuery, type Session } from '../api/queries.ts';
import { useSubmit } from '../hooks/use-submit.ts';
import { text } from '../i18n/text.ts';
import { Empty } from '../ui/empty.tsx';
import { FieldErrors, fieldsOf, TextField } from '../ui/field.tsx';
import { PasswordField } from '../ui/password-field.tsx';
import { ProblemAlert } from '../ui/problem-alert.tsx';
import { AuthFrame } from './auth-frame.tsx';

const leastPassword = 10;

const tokenInAddress = (): string => location.hash.slice(1) || (new URLSearchParams(location.search).get('token') ?? '');

/** The token, taken out of the address bar and the history once it is known here; a link opened later counts too. */
function useLinkToken(): string {
  const [token, setToken] = useState(tokenInAddress);
  useEffect(() => {
    const take = () => {
      const given = tokenInAddress();
      if (given === '') return;
      setToken(given);
      history.replaceState(history.state, '', '/setup');
    };
    take();
    addEventListener('hashchange', take);
    return () => removeEventListener('hashchange', take);
  }, []);
  return token;
}

export function SetupPage() {
  const token = useLinkToken();
  // A link for one user carries the name after the dot; only the first administrator chooses one.
  const owner = token.slice(token.indexOf('.') + 1);
  const [user, setUser] = useState('admin');
  const [password, setPassword] = useState('');
  const navigate = useNavigate();
  const { isPending, error, submit } = useSubmit(async () => {
    const body = { token, password, ...(owner === '' ? { user } : {}) };
    const answer = await client.request<Session>('POST', '/v1/setup', { body });
    queryClient.clear();
    queryClient.setQueryData(sessionQuery.queryKey, answer.body);
    await navigate('/', { replace: true });
  });

  const title = owner === '' ? text.setup.title : text.setup.titleFor(owner);
  if (token === '') {
    return (
      <AuthFrame title={title} subtitle="">
        <Empty title={text.setup.noToken} actions={<Link to="/signin">{text.setup.toSignIn}</Link>}>
          {text.setup.noTokenDetail}
        </Empty>
      </AuthFrame>
    );
  }
  const short = password !== '' && password.length < leastPassword ? text.setup.tooShort(password.length) : undefined;
  return (
    <AuthFrame title={title} subtitle={text.setup.subtitle}>
      <FieldErrors value={fieldsOf(error)}>
        <Form onSubmit={submit}>
          {error !== undefined && <ProblemAlert error={error} actions={<Link to="/signin">{text.setup.toSignIn}</Link>} />}
          {owner === '' && (
            <TextField
              label={text.setup.user}
              pointer="/user"
              value={user}
              onChange={setUser}
              autoComplete="username"
              isRequired
            />
          )}
          <PasswordField
            label={text.setup.password}
            pointer="/password"
            value={password}
            onChange={setPassword}
            autoComplete="new-password"
            help={short ?? text.setup.passwordHint}
          />
          <Button
            type="submit"
            variant="primary"
            isBlock
            isLoading={isPending}
            isDisabled={isPending || password.length < leastPassword || (owner === '' && user === '')}
          >
            {text.setup.submit}
          </Button>
        </Form>
      </FieldErrors>
    </AuthFrame>
  );
}
