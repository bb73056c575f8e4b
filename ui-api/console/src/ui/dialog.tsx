/** The one dialog for forms and confirmations: pending state, the API's errors at their fields, no double submit. */
import { Button, Form, Modal, ModalBody, ModalFooter, ModalHeader } from '@patternfly/react-core';
import { useId, type ReactNode } from 'react';
import { useSubmit } from '../hooks/use-submit.ts';
import { text } from '../i18n/text.ts';
import { FieldErrors, fieldsOf } from './field.tsx';
import { ProblemAlert } from './problem-alert.tsx';

type Props = {
  title: string;
  description?: string;
  submit: string;
  isDanger?: boolean;
  isDisabled?: boolean;
  width?: 'small' | 'medium';
  /** The dialog closes when it resolves, and shows why when it rejects. */
  onSubmit: () => Promise<unknown>;
  onClose: () => void;
  children?: ReactNode;
};

export function Dialog({
  title,
  description,
  submit,
  isDanger,
  isDisabled,
  width = 'small',
  onSubmit,
  onClose,
  children,
}: Props) {
  const id = useId();
  const {
    isPending,
    error,
    submit: send,
  } = useSubmit(async () => {
    await onSubmit();
    onClose();
  });

  return (
    <Modal isOpen variant={width} onClose={onClose} aria-labelledby={`${id}-title`}>
      <ModalHeader
        title={title}
        labelId={`${id}-title`}
        {...(description ? { description } : {})}
        {...(isDanger ? { titleIconVariant: 'warning' as const } : {})}
      />
      <ModalBody>
        <FieldErrors value={fieldsOf(error)}>
          <Form id={id} onSubmit={(event) => (isDisabled ? event.preventDefault() : send(event))} noValidate>
            {error !== undefined && <ProblemAlert error={error} />}
            {children}
          </Form>
        </FieldErrors>
      </ModalBody>
      <ModalFooter>
        <Button
          type="submit"
          form={id}
          variant={isDanger ? 'danger' : 'primary'}
          isLoading={isPending}
          isDisabled={isPending || isDisabled}
        >
          {submit}
        </Button>
        <Button variant="link" onClick={onClose}>
          {text.common.cancel}
        </Button>
      </ModalFooter>
    </Modal>
  );
}
