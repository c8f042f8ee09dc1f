"""The on-duty rota: who is to be told of what when, how duty passes from one to the next, where nobody is on duty."""
